"""Decide, face by face, who is in a photo, what is done to them, and why.

Two questions are asked of a photo. *Where is this person?* - the references given with one photo: the face most like
them is chosen. *Who of these is here?* - the people of a library: each face is matched to its own person, nobody
twice, and a face that is like none of them is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.likeness import same_person_floor
from keepface.engine.references import Recognising, References
from keepface.engine.result import NOT_THIS_PERSON, UNKNOWN
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError, ReferencePhotoError
from keepface.faces.face import Face
from keepface.identity.compare import to_references
from keepface.image.files import Photo


@dataclass(frozen=True, eq=False)
class People:
    """Everybody who may be in a photo, each with references; a face of nobody here is left alone.

    Raises:
        RecipeError: somebody has no name or no references, or two have one name.
    """

    known: tuple[References, ...]

    def __post_init__(self) -> None:
        names = [person.person for person in self.known]
        if not all(names) or len(set(names)) < len(names) or not all(person.kept for person in self.known):
            raise RecipeError(f"people are named {names}; each needs a name of their own, and a reference")


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be done to one face, and why."""

    face: Face
    is_restored: bool = True
    led_by: References | None = None
    reason: str | None = None
    compared_with: References | None = None  # whose likeness is told, whether they lead or not


def choose(
    restorer: Recognising,
    photo: Photo,
    faces: Sequence[Face],
    wanted: References | People,
    settings: RestoreSettings,
) -> list[Plan]:
    """Plan each face, in the order given.

    Raises:
        ReferencePhotoError: with `settings.strict`, the references look like nobody in the photo.
    """
    if isinstance(wanted, People):
        return match(restorer, photo, faces, wanted, settings)
    if not faces or not wanted.kept:
        return [Plan(face) for face in faces]
    return _find(restorer, photo, faces, wanted, settings)


def match(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], people: People, settings: RestoreSettings
) -> list[Plan]:
    """Give each face its own person: the most alike pair first, nobody twice, none below the face's floor."""
    alike = _likeness(restorer, photo, faces, people.known)
    floors = [_floor(photo, face, settings) for face in faces]
    plans = [Plan(face, is_restored=False, reason=UNKNOWN) for face in faces]
    pairs = [(float(alike[i, j]), i, j) for i in range(alike.shape[0]) for j in range(alike.shape[1])]
    taken_faces: set[int] = set()
    taken_people: set[int] = set()
    for value, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if value < floors[i] or i in taken_faces or j in taken_people:
            continue
        taken_faces.add(i)
        taken_people.add(j)
        plans[i] = Plan(faces[i], led_by=people.known[j], compared_with=people.known[j])
    return plans


def _find(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], wanted: References, settings: RestoreSettings
) -> list[Plan]:
    """Choose the face that the references show; the others are left alone."""
    alike = _likeness(restorer, photo, faces, [wanted])[:, 0].tolist()
    best = max(range(len(faces)), key=alike.__getitem__)
    floor = _floor(photo, faces[best], settings)
    plans = [Plan(face, is_restored=False, reason=NOT_THIS_PERSON, compared_with=wanted) for face in faces]
    if alike[best] >= floor:
        plans[best] = Plan(faces[best], led_by=wanted, compared_with=wanted)
        return plans
    doubt = f"the references do not look like this person (similarity {alike[best]:.2f}, needed {floor:.2f})"
    if settings.strict:
        raise ReferencePhotoError(f"{photo.source}: refused, as asked by strict: {doubt}")
    if len(faces) == 1:
        plans[best] = Plan(faces[best], reason=f"restored without references: {doubt}", compared_with=wanted)
    return plans


def _likeness(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], people: Sequence[References]
) -> Float[Tensor, "f p"]:
    """Return each face's mean cosine to each person's references, by the recogniser that leads the model."""
    recogniser = restorer.embedder.recogniser
    embedded = [recogniser.embed(photo.pixels, face) for face in faces]
    return torch.tensor([[to_references(item, person.recognised) for person in people] for item in embedded])


def _floor(photo: Photo, face: Face, settings: RestoreSettings) -> float:
    asked = settings.same_person_floor
    return same_person_floor(photo.pixels, face) if asked is None else asked
