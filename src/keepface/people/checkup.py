"""Examine all photos of a person of the library, and choose the best of those that are fit."""

from collections.abc import Callable
from dataclasses import dataclass

from keepface.errors import PhotoError
from keepface.people.doctor import LARGE_PX, Diagnosis, Examined, diagnose, examine
from keepface.people.features import Networks
from keepface.people.person import Person
from keepface.people.store import Library


@dataclass(frozen=True, eq=False)
class Checkup:
    """What was measured of each photo, and what is said of them together."""

    examined: tuple[Examined, ...]  # the first photos of the diagnosis, in its order
    diagnosis: Diagnosis

    def fit(self) -> tuple[Examined, ...]:
        """Return the photos without a problem, the one with the most detail of a face first.

        Ours: detail is the face's side in pixels, as far as it counts, times how sharp it is.
        """
        well = [
            item
            for item, finding in zip(self.examined, self.diagnosis.photos, strict=False)
            if not finding.problems  # a photo that gave nothing always has one
        ]
        return tuple(sorted(well, key=_detail, reverse=True))


def check_person(
    library: Library, person: Person, networks: Networks, progress: Callable[[int, int], None] | None = None
) -> Checkup:
    """Examine a person's photos and compare them; features that are missing are made and kept."""
    known = library.known(person, networks)
    examined, unusable = [], list(known.problems)
    for number, (record, kept) in enumerate(known.photos, 1):
        try:
            examined.append(examine(record, library.photo(person, record), kept))
        except PhotoError as error:
            unusable.append((record, str(error)))
        if progress:
            progress(number, len(known.photos))
    return Checkup(tuple(examined), diagnose(examined, unusable))


def _detail(item: Examined) -> float:
    return min(item.fitness.size_px, LARGE_PX) * (1 - item.fitness.blur)
