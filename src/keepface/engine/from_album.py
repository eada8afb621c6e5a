"""An album that guides itself: its faces are grouped by person, and each person's best photos lead their other faces.

Groups and features are in memory alone, and gone when the call is over: nobody is named, and nothing is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from keepface.engine.album_faces import AlbumFace, Progress, faces_of_album, grouper
from keepface.engine.grouping import Faces, group
from keepface.engine.likeness import library_floor
from keepface.engine.matching import People, Plan
from keepface.engine.photo import SquareRestorer
from keepface.engine.provenance import Options
from keepface.engine.reasons import Reason
from keepface.engine.references import LeftOut, Reference, References
from keepface.errors import KeepfaceError
from keepface.image.files import read_photo
from keepface.people.doctor import FRONTAL_DEG

MOST_REFERENCES = 4
LABEL = "album {number}"  # what a person of the album is called, who has no name here


@dataclass(frozen=True)
class AlbumPerson:
    """Somebody who is seen at least twice in an album."""

    label: str
    faces: int
    good: int  # of them, fit to lead
    references: int  # of those, that lead


@dataclass(frozen=True, eq=False)
class AlbumPeople:
    """Everybody of an album: `people` leads a restoration as people of a library do, each face by its own person."""

    people: People
    persons: tuple[AlbumPerson, ...]  # who has most faces first
    photos: int
    alone: int  # faces that are not surely like any other

    @property
    def told(self) -> str:
        """Say who was found, in one line."""
        count = len(self.persons)
        who = [f"{one.label} ({one.faces} faces, {one.good} good)" for one in self.persons]
        found = f"found {count} {'person' if count == 1 else 'people'} in {self.photos} photos"
        alone = f"; {self.alone} {'face' if self.alone == 1 else 'faces'} in no group" if self.alone else ""
        return f"{found}{': ' if who else ''}{', '.join(who)}{alone}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        persons = [
            {"person": one.label, "faces": one.faces, "good": one.good, "references": one.references}
            for one in self.persons
        ]
        return {"photos": self.photos, "people": persons, "faces_alone": self.alone}


@torch.no_grad()
def people_of_album(
    restorer: SquareRestorer,
    photos: Iterable[Path | str],
    options: Options,
    unled: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> AlbumPeople:
    """Find out who is in the photos of an album, and who leads whom; the order of photos makes no difference.

    The result's `people` go to `keepface.engine.batch.restore_many`, or to `Restorer.restore` for photos of the album
    that are given by the same path. References are good faces of the same person, four at most, spread over the
    pose: never the face itself. What they can't lead is left alone.

    Args:
        options: those that the album is restored with: limits, settings and whether the photos are aligned squares.
        unled: restore also the faces that nobody leads, by the photo alone.
        workers: threads that read photos and find faces; a photo is in the hands of each.
        progress: is told how many photos were looked at, of how many.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    sources = [str(Path(photo)) for photo in photos]
    faces = list(faces_of_album(restorer, sources, options, workers, progress))
    groups = [[faces[place] for place in members] for members in _grouped(restorer, faces)]
    several = {LABEL.format(number=number): own for number, own in enumerate(_of_several(groups), 1)}
    leading = {label: choose_references(own) for label, own in several.items()}
    known = _embedded(restorer, options, [face for chosen in leading.values() for face in chosen])
    plans = {face.place: Plan(face.face, unled, reason=Reason("like_no_other")) for face in faces}
    people = []
    for label, own in several.items():
        chosen = [face for face in leading[label] if isinstance(known[face.place], Reference)]
        left_out = tuple(item for face in leading[label] if isinstance(item := known[face.place], LeftOut))
        if chosen:
            people.append(References(_references(chosen, known), left_out, label))
        for face in own:
            led_by = References(_references(leaders_of(face, chosen), known), left_out, label)
            plans[face.place] = _plan(face, led_by, unled)
    persons = tuple(
        AlbumPerson(label, len(own), sum(face.is_good for face in own), len(leading[label]))
        for label, own in several.items()
    )
    by_photo: dict[str, tuple[Plan, ...]] = {source: () for source in sources}
    for face in faces:
        by_photo[face.source] += (plans[face.place],)
    alone = len(faces) - sum(one.faces for one in persons)
    return AlbumPeople(People(tuple(people), by_photo), persons, len(by_photo), alone)


def choose_references(faces: Sequence[AlbumFace]) -> list[AlbumFace]:
    """Choose who of a person's faces leads the others: the good ones with most detail, at most four, and no copies.

    The best of each pose (looking straight, to the left, to the right) come first.
    """
    fit: list[AlbumFace] = []
    for face in sorted((face for face in faces if face.is_good), key=lambda face: (-face.held_px, face.place)):
        if not any(face.is_copy(other) for other in fit):
            fit.append(face)
    first = {_pose(face): face for face in reversed(fit)}  # the best of each pose is the last to be entered
    spread = [face for face in fit if first[_pose(face)] is face]
    return [*spread, *(face for face in fit if face not in spread)][:MOST_REFERENCES]


def leaders_of(face: AlbumFace, chosen: Sequence[AlbumFace]) -> list[AlbumFace]:
    """Return who of a person's references leads one of their faces: all but the face itself, and copies of it."""
    return [other for other in chosen if other is not face and not face.is_copy(other)]


def _grouped(restorer: SquareRestorer, faces: Sequence[AlbumFace]) -> list[tuple[int, ...]]:
    if not faces:
        return []
    name = grouper(restorer).name
    numbers = {source: number for number, source in enumerate(dict.fromkeys(face.source for face in faces))}
    table = Faces(
        np.stack([face.known_by for face in faces]),
        np.array([numbers[face.source] for face in faces]),
        np.array([face.is_clear for face in faces]),
    )
    return group(table, lambda count: library_floor(name, count))


def _of_several(groups: Sequence[Sequence[AlbumFace]]) -> list[Sequence[AlbumFace]]:
    return [own for own in groups if len(own) > 1]


def _pose(face: AlbumFace) -> int:
    """Return -1, 0 or 1: turned to the left of the picture, frontal, to the right."""
    return 0 if abs(face.yaw_deg) < FRONTAL_DEG else int(np.sign(face.yaw_deg))


def _embedded(
    restorer: SquareRestorer, options: Options, chosen: Sequence[AlbumFace]
) -> dict[tuple[str, int], Reference | LeftOut]:
    """Make the features of those who lead, or say why they can't; each photo is read once more, and alone."""
    found: dict[tuple[str, int], Reference | LeftOut] = {}
    for source in sorted({face.source for face in chosen}):
        own = [face for face in chosen if face.source == source]
        try:
            pixels = read_photo(source, options.limits).pixels
        except (KeepfaceError, OSError) as error:  # it could be read a moment ago
            found |= {face.place: LeftOut(source, str(error).removeprefix(f"{source}: ")) for face in own}
            continue
        for face in own:
            features = restorer.embedder.embed_face(pixels, face.face)
            found[face.place] = Reference(source, features, restorer.judge.embed(pixels, face.face), 1.0)
    return found


def _references(
    faces: Sequence[AlbumFace], known: Mapping[tuple[str, int], Reference | LeftOut]
) -> tuple[Reference, ...]:
    return tuple(item for face in faces if isinstance(item := known[face.place], Reference))


def _plan(face: AlbumFace, led_by: References, unled: bool) -> Plan:
    """Plan one face of somebody who is seen several times; without references it still carries their label."""
    if led_by.kept:
        return Plan(face.face, led_by=led_by, compared_with=led_by, is_matched=True)
    return Plan(face.face, unled, led_by, Reason("no_good_photo", {"label": led_by.person or ""}))
