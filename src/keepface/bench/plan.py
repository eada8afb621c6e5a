"""Which photo of which person is restored, and which photos may lead it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from keepface.bench.suite import MAX_REFERENCES, Row
from keepface.data.identities import by_person
from keepface.errors import DataError

Points = Callable[[int], Float[np.ndarray, "5 2"]]  # of a photo, in pixels of its square


@dataclass(frozen=True)
class Target:
    """One photo to restore; numbers index the data's photos."""

    person: str
    photo: int
    others: tuple[int, ...]  # all other photos of the person
    stranger: str | None  # who leads the wrong row; `None` when nobody has enough photos
    stranger_references: tuple[int, ...]

    @property
    def references(self) -> tuple[int, ...]:
        """Return the other photos that lead, at most four."""
        return self.others[:MAX_REFERENCES]


def plan(
    identities: Sequence[str], native_px: Sequence[float], limit: int | None = None, others: int = 1
) -> tuple[Target, ...]:
    """Choose one target a person, for people with `others` photos beside it, in the order of their names.

    The target is the photo with the most real detail (`native_px`), the first of equals; the references are the
    person's other photos in the data's order. The stranger is the next person by name with four photos or more.
    Strangers are chosen before `limit` cuts, so a short run measures the same pictures as a long one.

    Raises:
        DataError: nobody has so many photos.
    """
    everybody = sorted(by_person(identities).items())
    people = {name: sorted(indices) for name, indices in everybody if len(indices) > others}
    if not people:
        need = "two; a reference must be another photo" if others == 1 else f"{others + 1}, as this suite needs"
        raise DataError(f"bench: nobody among {len(identities)} photos has {need}")
    names = list(people)
    targets = []
    for position, name in enumerate(names):
        photo = max(people[name], key=lambda index: (native_px[index], -index))
        around = names[position + 1 :] + names[:position]
        stranger = next((other for other in around if len(people[other]) >= MAX_REFERENCES), None)
        theirs = tuple(people[stranger][:MAX_REFERENCES]) if stranger else ()
        rest = tuple(index for index in people[name] if index != photo)
        targets.append(Target(name, photo, rest, stranger, theirs))
    return tuple(targets[:limit])


def leaders(row: Row, target: Target, points: Points) -> tuple[int, ...]:
    """Return the photos that lead a row; `points` is asked only where pose and mouth choose.

    Raises:
        DataError: there are fewer than the row takes; the text is the reason that the report gives.
    """
    if row.chosen != "in order":
        return _by_likeness(row, target, points)
    pool = {"own": target.references, "stranger": target.stranger_references, "truth": (target.photo,)}[row.whose]
    last = row.first + row.references
    needed = last if row.fewest is None else row.first + row.fewest
    if row.references and len(pool) < needed:
        if row.whose == "stranger":
            raise DataError(f"nobody else has {needed} photos")
        raise DataError(f"the person has fewer than {needed} other photos")
    return pool[row.first : last] if row.references else ()


def pose_and_mouth(points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "4"]:
    """Describe a face's turn, nod, and its mouth's place and width, in distances between the eyes.

    Five points see a smile and a turned head; whether the mouth is open they do not. # ours
    """
    across = points[1] - points[0]
    distance = max(float(np.hypot(*across)), 1e-6)
    right = across / distance
    down = np.array([-right[1], right[0]])
    middle = (points[0] + points[1]) / 2
    nose, mouth = points[2] - middle, (points[3] + points[4]) / 2 - middle
    width = float(np.hypot(*(points[4] - points[3])))
    return np.array([nose @ right, nose @ down, mouth @ down, width]) / distance


def _by_likeness(row: Row, target: Target, points: Points) -> tuple[int, ...]:
    if len(target.others) < 2:
        raise DataError("the person has fewer than 2 other photos to choose from")
    goal = pose_and_mouth(points(target.photo))
    apart = {index: float(np.linalg.norm(pose_and_mouth(points(index)) - goal)) for index in target.others}
    ordered = sorted(target.others, key=lambda index: (apart[index], index))
    return tuple(ordered[: row.references] if row.chosen == "most alike" else ordered[-row.references :])
