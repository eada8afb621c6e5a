"""From a photo to the photo with its faces restored: find, choose, align, restore, paste back.

A photo that is an aligned face square already is restored whole, at the family's size. In any other photo only pixels
under a restored face change. `look_at` and `finish` are the two ends; between them the squares of many photos may pass
through the networks together.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.matching import People, Plan, choose
from keepface.engine.receipt import Sides, left_alone, objection, only_cleaned, receipt
from keepface.engine.references import LeftOut, Picture, Recognising, References, as_photo, gather_references
from keepface.engine.result import NO_FACE, FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.errors import PhotoError, TooLargeError
from keepface.faces.align import align_ffhq, ffhq_template, similarity
from keepface.faces.face import Face
from keepface.faces.paste import paste
from keepface.identity.embed import IdentityFeatures, square_face
from keepface.image.colour import to_grey
from keepface.image.files import Photo, with_pixels
from keepface.image.size import resize
from keepface.seeds import generator

ALIGNED_TURN = 0.17  # ours: how far, in radians, and in log scale, a crop's face may be off the template's
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

    def cleans(self, settings: RestoreSettings, by_tiles: bool = False) -> bool:
        """Tell whether a pre-cleaner runs before the method."""
        ...

    def clean_squares(self, low: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"] | None:
        """Take noise, blocks and blur out of squares and draw nothing anew; `None` where there is no pre-cleaner."""
        ...


@dataclass(frozen=True, eq=False)
class Look:
    """A photo that was looked at: what will be done to each face, and the squares to restore."""

    photo: Photo
    plans: tuple[Plan, ...]  # largest face first
    squares: Float[Tensor, "b 3 s s"]  # one for each plan that is restored
    matrices: tuple[Float[np.ndarray, "2 3"], ...]  # from the photo to each square; none when the photo is the square
    is_aligned: bool
    seed: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def led_by(self) -> list[References]:
        """Return what leads each square; nothing is an empty set of references."""
        return [plan.led_by or References() for plan in self.plans if plan.is_restored]


@torch.no_grad()
def restore_photo(
    restorer: SquareRestorer,
    photo: Picture,
    references: References | People | Sequence[Picture] = (),
    settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
    seed: int = 0,
    is_aligned: bool | None = None,
    progress: Progress | None = None,
) -> Restoration:
    """Restore the face in `photo` that the references show, or every face when there are no references.

    Args:
        references: photos of one person, or what `gather_references` made of them once for many photos; or people,
            and then each face is led by its own person's, and faces of nobody among them are left alone.
        is_aligned: True takes the photo as an upright FFHQ face square and returns it at the family's size, False
            always pastes back; `None` takes small squares whose face is where an aligned square has it for aligned.

    Raises:
        PhotoError: the photo can't be read, or is said to be aligned and is not square.
        TooLargeError: more pixels or faces than the limits allow.
        ReferencePhotoError: the references can't be used, or, with `settings.strict`, not for this photo.
    """
    started = time.perf_counter()
    look = look_at(restorer, photo, references, settings, seed, is_aligned)
    restored = restore_looks(restorer, [look], settings, progress)[0]
    return finish(restorer, look, restored, settings, started)


@torch.no_grad()
def look_at(
    restorer: SquareRestorer,
    photo: Picture,
    references: References | People | Sequence[Picture],
    settings: RestoreSettings,
    seed: int,
    is_aligned: bool | None = None,
) -> Look:
    """Find and choose the faces of a photo and cut their squares; arguments and errors are those of `restore_photo`."""
    photo = as_photo(photo)
    if not isinstance(references, References | People):
        references = gather_references(restorer, references, strict=settings.strict)
    faces, is_aligned = _find(restorer, photo, settings, is_aligned)
    plans = choose(restorer, photo, faces, references, settings)
    squares, matrices = _squares(photo, plans, restorer.size, is_aligned)
    stacked = torch.stack(squares) if squares else torch.zeros(0, 3, restorer.size, restorer.size)
    leading = [references] if isinstance(references, References) else [plan.led_by for plan in plans if plan.led_by]
    left_out = tuple(item for one in leading for item in one.left_out)  # nobody leads two faces of a photo
    return Look(photo, tuple(plans), stacked, tuple(matrices), is_aligned, seed, left_out)


@torch.no_grad()
def restore_looks(
    restorer: Squares, looks: Sequence[Look], settings: RestoreSettings, progress: Progress | None = None
) -> list[Float[Tensor, "b 3 s s"]]:
    """Restore the squares of several photos together, those with the same settings in one batch.

    Each photo's squares are returned in its own order. What a face's settings are its plan says; a face is the same
    whatever it is batched with.
    """
    counts = [len(look.squares) for look in looks]
    if not sum(counts):
        return [look.squares for look in looks]
    low = torch.cat([look.squares for look in looks])
    led_by = [references for look in looks for references in look.led_by]
    seeds = [look.seed for look, count in zip(looks, counts, strict=True) for _ in range(count)]
    wanted = [plan.settings(settings) for look in looks for plan in look.plans if plan.is_restored]
    restored = torch.zeros_like(low)
    groups = list(dict.fromkeys(wanted))  # in the order of the faces
    for number, group in enumerate(groups):
        chosen = [index for index, own in enumerate(wanted) if own == group]
        restored[chosen] = restorer.restore_squares(
            low[chosen],
            [led_by[index].features for index in chosen],
            group,
            [seeds[index] for index in chosen],
            [led_by[index].weights for index in chosen],
            _part(progress, number, len(groups)),
        ).clamp(0, 1)
    return list(torch.split(restored, counts))


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Count the steps of one of several batches, all of them as long as this one, among those of all."""
    if progress is None or count == 1:
        return progress
    return lambda done, total: progress(number * total + done, count * total)


@torch.no_grad()
def finish(
    restorer: SquareRestorer,
    look: Look,
    restored: Float[Tensor, "b 3 s s"],
    settings: RestoreSettings,
    started: float,
) -> Restoration:
    """Put the restored squares into their photo, judge each face, and take back those that became somebody else.

    In the place of one that is taken back comes the face as the pre-cleaner makes it, if that is no stranger.
    `started` is when work on the photo began, by `time.perf_counter`.
    """
    photo = look.photo
    if photo.is_grey and settings.keep_grey:
        restored = to_grey(restored)
    image, results = _judged(restorer, look, restored, settings)
    if not settings.keep_worse and any(objection(result) for result in results):
        restored = _gentler(restorer, look, restored, results, settings)
        image, again = _judged(restorer, look, restored, settings)
        results = tuple(
            (left_alone(first) if objection(second) else only_cleaned(first, second)) if objection(first) else first
            for first, second in zip(results, again, strict=True)
        )
        kept = [result.restored for result, plan in zip(results, look.plans, strict=True) if plan.is_restored]
        image = image if all(kept) else _rebuild_some(look, restored, settings, kept)
    if not look.plans:
        results = (FaceResult(None, False, NO_FACE, Similarity(), look.seed, restorer.method.name),)
    return Restoration(
        image,
        photo.source,
        results,
        time.perf_counter() - started,
        settings,
        look.left_out,
        cleaned=restorer.cleans(settings),
    )


def _judged(
    restorer: SquareRestorer, look: Look, restored: Float[Tensor, "b 3 s s"], settings: RestoreSettings
) -> tuple[Photo, tuple[FaceResult, ...]]:
    image = _rebuild(look, restored, settings) if len(restored) else look.photo
    sides = Sides(look.photo, image, image.pixels.shape[2] / look.photo.pixels.shape[2])
    judge, method = restorer.judge, restorer.method.name
    return image, tuple(receipt(judge, sides, plan, look.seed, method) for plan in look.plans)


def _gentler(
    restorer: SquareRestorer,
    look: Look,
    restored: Float[Tensor, "b 3 s s"],
    results: Sequence[FaceResult],
    settings: RestoreSettings,
) -> Float[Tensor, "b 3 s s"]:
    """Put cleaned squares in the place of those that may not stay; the same squares where there is no pre-cleaner."""
    shown = [result for result, plan in zip(results, look.plans, strict=True) if plan.is_restored]
    refused = [number for number, result in enumerate(shown) if objection(result)]
    cleaned = restorer.clean_squares(look.squares[refused])
    if cleaned is None:
        return restored
    gentler = restored.clone()
    gentler[refused] = to_grey(cleaned) if look.photo.is_grey and settings.keep_grey else cleaned
    return gentler


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


def _squares(
    photo: Photo, plans: Sequence[Plan], size: int, is_aligned: bool
) -> tuple[list[Tensor], list[Float[np.ndarray, "2 3"]]]:
    """Cut the squares to restore, and the matrices that lead to them from the photo (none for an aligned photo)."""
    wanted = [plan.face for plan in plans if plan.is_restored]
    if is_aligned:
        return [resize(photo.pixels, (size, size), "bicubic") for _ in wanted], []
    aligned = [align_ffhq(photo.pixels, face.points, size) for face in wanted]
    return [item.crop for item in aligned], [item.matrix for item in aligned]


def _rebuild(look: Look, restored: Float[Tensor, "b 3 s s"], settings: RestoreSettings) -> Photo:
    if look.is_aligned:
        return with_pixels(look.photo, restored[0])
    return _rebuild_some(look, restored, settings, [True] * len(restored))


def _rebuild_some(
    look: Look, restored: Float[Tensor, "b 3 s s"], settings: RestoreSettings, kept: Sequence[bool]
) -> Photo:
    """Paste the squares that are kept; an aligned photo whose face is not kept stays the photo it was."""
    pixels = look.photo.pixels
    numbers = [number for number, is_kept in enumerate(kept) if is_kept]
    for number in numbers:
        grain = generator(look.seed, "grain", number) if settings.harmonise else None
        pixels = paste(pixels, restored[number], look.matrices[number], grain=grain).pixels
    return replace(look.photo, pixels=pixels)
