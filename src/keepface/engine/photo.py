"""From a photo to the photo with its faces restored: find, choose, align, restore, paste back.

A photo that is an aligned face square already is restored whole, at the family's size. In any other photo only pixels
under a restored face change.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.likeness import same_person_floor
from keepface.engine.references import Picture, Recognising, References, as_photo, gather_references
from keepface.engine.result import NO_FACE, NOT_THIS_PERSON, FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.errors import PhotoError, ReferencePhotoError, TooLargeError
from keepface.faces.align import align_ffhq, ffhq_template, similarity
from keepface.faces.face import Face
from keepface.faces.paste import paste
from keepface.identity.compare import cosine, to_references
from keepface.identity.embed import IdentityFeatures, square_face
from keepface.image.colour import to_grey
from keepface.image.files import Photo, with_pixels
from keepface.image.size import resize

ALIGNED_TURN = 0.17  # ours: how far, in radians, and in log scale, a crop's face may be off the template's
LIKENESS_SLACK = 0.05  # ours: a loss of likeness (cosine, judge) that is not worth a word
ALIGNED_SHIFT = 0.08  # ours: the same for its place, in sides

Progress = Callable[[int, int], None]  # steps done, steps in all


@runtime_checkable
class Named(Protocol):
    """What is asked of a method here."""

    @property
    def name(self) -> str:
        """Name the method."""
        ...


@runtime_checkable
class Squares(Protocol):
    """Whoever restores aligned squares of one size."""

    @property
    def size(self) -> int:
        """Return the side of the squares in pixels."""
        ...

    def restore_squares(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
        weights: Sequence[Sequence[float]] | None = None,
        progress: Progress | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        """Restore squares, each led by its own references (none for an empty list) and drawn from its own seed."""
        ...


@runtime_checkable
class SquareRestorer(Recognising, Squares, Protocol):
    """What is asked of a restorer here: it restores squares by a method, and knows faces and persons."""

    @property
    def method(self) -> Named:
        """Return the published system it restores by."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be done to one face, and why."""

    face: Face
    is_restored: bool = True
    is_led: bool = False  # by the references
    reason: str | None = None


@torch.no_grad()
def restore_photo(
    restorer: SquareRestorer,
    photo: Picture,
    references: References | Sequence[Picture] = (),
    settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
    seed: int = 0,
    is_aligned: bool | None = None,
    progress: Progress | None = None,
) -> Restoration:
    """Restore the face in `photo` that the references show, or every face when there are no references.

    Args:
        references: photos of one person, or what `gather_references` made of them once for many photos.
        is_aligned: True takes the photo as an upright FFHQ face square and returns it at the family's size, False
            always pastes back; `None` takes small squares whose face is where an aligned square has it for aligned.

    Raises:
        PhotoError: the photo can't be read, or is said to be aligned and is not square.
        TooLargeError: more pixels or faces than the limits allow.
        ReferencePhotoError: the references can't be used, or, with `settings.strict`, not for this photo.
    """
    started = time.perf_counter()
    photo = as_photo(photo)
    if not isinstance(references, References):
        references = gather_references(restorer, references, strict=settings.strict)
    faces, is_aligned = _find(restorer, photo, settings, is_aligned)
    plans = _choose(restorer, photo, faces, references, settings)
    squares, matrices = _squares(photo, plans, restorer.size, is_aligned)
    image, scale = photo, 1.0
    if squares:
        led = [plan.is_led for plan in plans if plan.is_restored]
        restored = restorer.restore_squares(
            torch.stack(squares),
            [references.features if item else [] for item in led],
            settings,
            [seed] * len(squares),
            [references.weights if item else [] for item in led],
            progress,
        ).clamp(0, 1)
        if photo.is_grey and settings.keep_grey:
            restored = to_grey(restored)
        image = _rebuild(photo, restored, matrices, is_aligned)
        scale = image.pixels.shape[2] / photo.pixels.shape[2]
    results = tuple(_result(restorer, photo, image, scale, plan, references, seed) for plan in plans)
    if not settings.keep_worse and any(result.restored and _lost_likeness(result.similarity) for result in results):
        results = tuple(_left_alone(result) if _lost_likeness(result.similarity) else result for result in results)
        kept = [result.restored for result, plan in zip(results, plans, strict=True) if plan.is_restored]
        image = _rebuild_some(photo, restored, matrices, kept)
    if not plans:
        results = (FaceResult(None, False, NO_FACE, Similarity(), seed, restorer.method.name),)
    return Restoration(image, photo.source, results, time.perf_counter() - started, settings, references.left_out)


def looks_aligned(face: Face, size: int) -> bool:
    """Tell whether a face lies in its square of `size` pixels as it does in an aligned FFHQ square."""
    matrix = similarity(face.points, ffhq_template(size))
    turn = abs(float(np.arctan2(matrix[1, 0], matrix[0, 0])))
    growth = abs(float(np.log(np.hypot(matrix[0, 0], matrix[1, 0]))))
    shift = float(np.abs(face.points.mean(0) - ffhq_template(size).mean(0)).max()) / size
    return turn < ALIGNED_TURN and growth < ALIGNED_TURN and shift < ALIGNED_SHIFT


def _find(
    restorer: SquareRestorer, photo: Photo, settings: RestoreSettings, is_aligned: bool | None
) -> tuple[list[Face], bool]:
    """Return the faces, largest first, and whether the photo is an aligned square."""
    height, width = photo.pixels.shape[1:]
    if is_aligned:
        if height != width:
            raise PhotoError(
                f"{photo.source}: is {width} x {height}, and an aligned face is square; leave out --aligned"
            )
        return [square_face(photo.pixels, restorer.embedder.detector).face], True
    faces = restorer.embedder.detector.detect(photo.pixels)
    if len(faces) > settings.max_faces:
        raise TooLargeError(
            f"{photo.source}: has {len(faces)} faces; the limit is {settings.max_faces}: "
            f"raise it with --max-faces {len(faces)}, or crop the photo"
        )
    is_small_square = height == width <= restorer.size and is_aligned is None
    if is_small_square and faces and looks_aligned(faces[0], width):
        return faces[:1], True
    return faces, False


def _choose(
    restorer: SquareRestorer, photo: Photo, faces: Sequence[Face], references: References, settings: RestoreSettings
) -> list[Plan]:
    """Choose the face that the references show; the others are left alone."""
    if not faces or not references.kept:
        return [Plan(face) for face in faces]
    recogniser, known = restorer.embedder.recogniser, references.recognised
    alike = [to_references(recogniser.embed(photo.pixels, face), known) for face in faces]
    best = max(range(len(faces)), key=alike.__getitem__)
    floor = settings.same_person_floor
    floor = same_person_floor(photo.pixels, faces[best]) if floor is None else floor
    plans = [Plan(face, is_restored=False, reason=NOT_THIS_PERSON) for face in faces]
    if alike[best] >= floor:
        plans[best] = Plan(faces[best], is_led=True)
        return plans
    doubt = f"the references do not look like this person (similarity {alike[best]:.2f}, needed {floor:.2f})"
    if settings.strict:
        raise ReferencePhotoError(f"{photo.source}: refused, as asked by strict: {doubt}")
    if len(faces) == 1:
        plans[best] = Plan(faces[best], reason=f"restored without references: {doubt}")
    return plans


def _squares(
    photo: Photo, plans: Sequence[Plan], size: int, is_aligned: bool
) -> tuple[list[Tensor], list[Float[np.ndarray, "2 3"]]]:
    """Cut the squares to restore, and the matrices that lead to them from the photo (none for an aligned photo)."""
    wanted = [plan.face for plan in plans if plan.is_restored]
    if is_aligned:
        return [resize(photo.pixels, (size, size), "bicubic") for _ in wanted], []
    aligned = [align_ffhq(photo.pixels, face.points, size) for face in wanted]
    return [item.crop for item in aligned], [item.matrix for item in aligned]


def _rebuild(
    photo: Photo, restored: Float[Tensor, "b 3 s s"], matrices: Sequence[Float[np.ndarray, "2 3"]], is_aligned: bool
) -> Photo:
    if is_aligned:
        return with_pixels(photo, restored[0])
    pixels = photo.pixels
    for square, matrix in zip(restored, matrices, strict=True):
        pixels = paste(pixels, square, matrix).pixels
    return replace(photo, pixels=pixels)


def _result(
    restorer: SquareRestorer,
    photo: Photo,
    image: Photo,
    scale: float,
    plan: Plan,
    references: References,
    seed: int,
) -> FaceResult:
    before = restorer.judge.embed(photo.pixels, plan.face)
    after = restorer.judge.embed(image.pixels, plan.face.scaled(scale)) if plan.is_restored else None
    known = references.judged if references.kept else None
    likeness = Similarity(
        None if known is None else to_references(before, known),
        None if known is None or after is None else to_references(after, known),
        None if after is None else float(cosine(after, before)),
    )
    reason = plan.reason or _lost_likeness(likeness)
    person = references.person if plan.is_led else None
    return FaceResult(plan.face.box, plan.is_restored, reason, likeness, seed, restorer.method.name, person)


def _left_alone(result: FaceResult) -> FaceResult:
    """Give the old face back, and say why."""
    before, after = result.similarity.input_to_references, result.similarity.output_to_references
    reason = f"left as it was: restored it would be less like the references ({before:.2f} to {after:.2f})"
    return replace(result, restored=False, reason=reason, similarity=Similarity(before, before, 1.0))


def _rebuild_some(
    photo: Photo, restored: Float[Tensor, "b 3 s s"], matrices: Sequence[Float[np.ndarray, "2 3"]], kept: Sequence[bool]
) -> Photo:
    """Paste the squares that are kept; an aligned photo whose face is not kept stays the photo it was."""
    chosen = [number for number, is_kept in enumerate(kept) if is_kept]
    return _rebuild(photo, restored[chosen], [matrices[number] for number in chosen], is_aligned=False)


def _lost_likeness(likeness: Similarity) -> str | None:
    """Say so when a restored face is less like the references than it was: sharper, but more of a stranger."""
    before, after = likeness.input_to_references, likeness.output_to_references
    if before is None or after is None or after >= before - LIKENESS_SLACK:
        return None
    return f"restored, but less like the references than before ({before:.2f} to {after:.2f}): keep the old face"
