"""From a photo to the photo with its faces restored: find, choose, align, restore, paste back.

A photo that is an aligned face square already is restored whole, at the family's size. In any other photo only pixels
under a restored face change. `look_at` and `finish` are the two ends; between them the squares of many photos may pass
through the networks together.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.matching import People, Plan, choose
from keepface.engine.reasons import Reason, Way
from keepface.engine.receipt import Judged, Maker, Trial, nothing_to_gain, receipt
from keepface.engine.references import LeftOut, Picture, Recognising, References, as_photo, gather_references
from keepface.engine.result import NO_FACE, FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.errors import PhotoError, TooLargeError
from keepface.faces.align import align_ffhq, ffhq_template, resized, scale_of, similarity
from keepface.faces.face import Face
from keepface.faces.paste import paste
from keepface.faces.tones import Tones, tones_of
from keepface.identity.embed import IdentityFeatures, square_face
from keepface.image.colour import to_grey
from keepface.image.files import Photo, with_pixels
from keepface.image.size import resize
from keepface.seeds import generator

ALIGNED_TURN = 0.17  # ours: how far, in radians, and in log scale, a crop's face may be off the template's
ALIGNED_SHIFT = 0.08  # ours: the same for its place, in sides
LARGER, MOST_SIDE = 1.25, 1024  # ours: times the method's square, and px, of a face that is restored at its own size

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

    def enlarge_square(
        self,
        low: Float[Tensor, "3 s s"],
        references: Sequence[IdentityFeatures],
        weights: Sequence[float],
        settings: RestoreSettings,
        side: int,
    ) -> Float[Tensor, "3 t t"] | None:
        """Restore a square at another side with the references' finer detail; `None` where the method can't."""
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
    tones: tuple[Tones, ...] = ()  # of each square: how flat tones were stretched; `squares` are stretched already

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
    faces, is_aligned = find_faces(restorer, photo, settings, is_aligned)
    plans = choose(restorer, photo, faces, references, settings)
    if not settings.keep_worse:
        plans = [_worth_it(photo, plan, restorer.size, is_aligned) for plan in plans]
    squares, matrices = _squares(photo, plans, restorer.size, is_aligned)
    tones = tuple(tones_of(square) for square in squares)
    squares = [own.there(square) for own, square in zip(tones, squares, strict=True)]
    stacked = torch.stack(squares) if squares else torch.zeros(0, 3, restorer.size, restorer.size)
    leading = [references] if isinstance(references, References) else [plan.led_by for plan in plans if plan.led_by]
    left_out = tuple(item for one in leading for item in one.left_out)  # nobody leads two faces of a photo
    return Look(photo, tuple(plans), stacked, tuple(matrices), is_aligned, seed, left_out, tones)


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
    """Put the restored squares into their photo, each only where it makes nothing worse.

    What would make a face worse in anything that is measured is taken back; in its place comes the face as the
    pre-cleaner makes it, if that is no worse, else the photo's own. `started` is when work on the photo began, by
    `time.perf_counter`.
    """
    maker, image, results = Maker(look.seed, restorer.method.name), look.photo, []
    place = 0
    for plan in look.plans:
        judged = Judged(restorer.judge, restorer.embedder.detector, look.photo, plan)
        if not plan.is_restored:
            results.append(receipt(plan, judged, None, maker))
            continue
        ways = _ways(restorer, look, restored[place], place, settings)
        trial, refused = _first_that_may_stay(judged, plan, ways, image, settings)
        image = image if trial is None else trial.picture
        results.append(receipt(plan, judged, trial, maker, refused))
        place += 1
    if not look.plans:
        results = [FaceResult(None, "unchanged", (NO_FACE,), Similarity(), look.seed, restorer.method.name)]
    return Restoration(
        image,
        look.photo.source,
        tuple(results),
        time.perf_counter() - started,
        settings,
        look.left_out,
        cleaned=restorer.cleans(settings),
    )


def _worth_it(photo: Photo, plan: Plan, model_px: int, is_aligned: bool) -> Plan:
    """Leave a face alone that already holds more than could be made of it; nothing is computed for it."""
    if not plan.is_restored:
        return plan
    shown = float(model_px) if is_aligned else None
    why = nothing_to_gain(photo, plan, model_px, shown)
    return plan if why is None else replace(plan, is_restored=False, reason=why)


Paint = Callable[[Photo], Photo | None]


def _ways(
    restorer: SquareRestorer, look: Look, square: Float[Tensor, "3 s s"], place: int, settings: RestoreSettings
) -> dict[Way, Paint]:
    """Return how a face can be changed, the boldest way first; each paints into a picture (`None`: it can't)."""

    def restore(picture: Photo) -> Photo:
        larger = _enlarged(restorer, look, place, settings)
        return _painted(look, picture, square if larger is None else larger, place, settings)

    def denoise(picture: Photo) -> Photo | None:
        cleaned = restorer.clean_squares(look.squares[place : place + 1])
        return None if cleaned is None else _painted(look, picture, cleaned[0], place, settings)

    return {"restored": restore, "denoised": denoise}


def _enlarged(
    restorer: SquareRestorer, look: Look, place: int, settings: RestoreSettings
) -> Float[Tensor, "3 t t"] | None:
    """Restore a face that is larger in its photo than the method's square, where the references hold more."""
    if look.is_aligned:
        return None
    own, plan = look.led_by[place], [plan for plan in look.plans if plan.is_restored][place]
    side = min(MOST_SIDE, round(restorer.size / scale_of(look.matrices[place])))
    if side <= LARGER * restorer.size or not own.kept:
        return None
    return restorer.enlarge_square(look.squares[place], own.features, own.weights, plan.settings(settings), side)


def _first_that_may_stay(
    judged: Judged, plan: Plan, ways: Mapping[Way, Paint], image: Photo, settings: RestoreSettings
) -> tuple[Trial | None, list[Reason]]:
    """Try one way after the other; with what spoke against those before it. Asked to keep what is worse, take all."""
    refused: list[Reason] = []
    for way, paint in ways.items():
        picture = paint(image)
        if picture is None:
            continue
        trial = judged.trial(way, picture)
        against = trial.objections(plan)
        if settings.keep_worse:
            return trial, [replace(reason, kept=True) for reason in against]
        if not against:
            return trial, refused
        refused += against
    return None, refused


def looks_aligned(face: Face, size: int) -> bool:
    """Tell whether a face lies in its square of `size` pixels as it does in an aligned FFHQ square."""
    matrix = similarity(face.points, ffhq_template(size))
    turn = abs(float(np.arctan2(matrix[1, 0], matrix[0, 0])))
    growth = abs(float(np.log(np.hypot(matrix[0, 0], matrix[1, 0]))))
    shift = float(np.abs(face.points.mean(0) - ffhq_template(size).mean(0)).max()) / size
    return turn < ALIGNED_TURN and growth < ALIGNED_TURN and shift < ALIGNED_SHIFT


def find_faces(
    restorer: SquareRestorer, photo: Photo, settings: RestoreSettings, is_aligned: bool | None
) -> tuple[list[Face], bool]:
    """Return the faces, largest first, and whether the photo is an aligned square.

    Raises:
        PhotoError: it is said to be an aligned square and is not square.
        TooLargeError: more faces than the settings allow.
    """
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


def _painted(
    look: Look, picture: Photo, square: Float[Tensor, "3 s s"], place: int, settings: RestoreSettings
) -> Photo:
    """Paste a square, in the photo's own tones, where it was cut from; an aligned photo becomes the square."""
    square = look.tones[place].back(square) if look.tones else square
    if look.photo.is_grey and settings.keep_grey:
        square = to_grey(square)
    if look.is_aligned:
        return with_pixels(picture, square)
    grain = generator(look.seed, "grain", place) if settings.harmonise else None
    matrix = resized(look.matrices[place], square.shape[-1] / look.squares.shape[-1])
    return replace(picture, pixels=paste(picture.pixels, square, matrix, grain=grain).pixels)
