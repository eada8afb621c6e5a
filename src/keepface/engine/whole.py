"""Restore a whole picture of any size by tiles: no face is looked for, and only tiles pass through the networks.

What grows with the picture is the picture itself, enlarged and restored, and its latent.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.diffusion.family import Family
from keepface.diffusion.sampler import Predict, SamplerSettings, first_step, make_scheduler, sample, start_latent
from keepface.diffusion.tiled import Done, pixels_per_cell, tiled_decode, tiled_encode, tiled_predict
from keepface.engine.matching import People
from keepface.engine.photo import Progress, SquareRestorer, restore_photo
from keepface.engine.references import Picture, References, as_photo, gather_references
from keepface.engine.result import Restoration
from keepface.engine.settings import MAX_SCALE, RestoreSettings
from keepface.errors import RecipeError, TooLargeError
from keepface.identity.embed import IdentityFeatures
from keepface.image.colour import to_grey
from keepface.image.files import Photo, with_pixels
from keepface.image.limits import MEGAPIXEL
from keepface.image.size import resize
from keepface.image.tiles import Layout, Tile, cut, reflect_pad
from keepface.methods import DEFAULTS
from keepface.methods.method import Defaults, Method, Personal
from keepface.methods.method import References as LedBy
from keepface.seeds import generator


@dataclass(frozen=True, eq=False)
class Tiled:
    """A picture restored by tiles."""

    pixels: Float[Tensor, "3 h w"]  # RGB, 0 to 1, float32 on the CPU
    layout: Layout  # of its tiles in pixels, before what was padded was cut off again


@dataclass(frozen=True)
class Sampling:
    """How the large latent is sampled.

    overlap: share of a tile's side that its neighbour covers too, 0..1; the published one is a half. [StableSR]
    batch: tiles that pass through the networks at once.
    """

    sampler: SamplerSettings
    guidance: float
    overlap: float = 0.5
    batch: int = 4


@runtime_checkable
class PictureRestorer(SquareRestorer, Protocol):
    """What is asked of a restorer here: it restores squares, and pictures of any size by tiles."""

    def restore_tiles(
        self,
        low: Float[Tensor, "3 h w"],
        references: Sequence[IdentityFeatures],
        settings: RestoreSettings,
        seed: int,
        weights: Sequence[float] | None = None,
        progress: Progress | None = None,
    ) -> Tiled:
        """Restore a picture in its own size, led by one person's references."""
        ...


@runtime_checkable
class Learned(PictureRestorer, Protocol):
    """A restorer whose method may have learned a person, who leads wherever no references do."""

    def for_chosen_faces(self) -> "Learned":
        """Return one by which that person leads the face that references chose and no other."""
        ...


def restore_any(
    restorer: PictureRestorer,
    photo: Picture,
    references: References | People | Sequence[Picture] = (),
    settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
    seed: int = 0,
    is_aligned: bool | None = None,
    progress: Progress | None = None,
) -> Restoration:
    """Restore a photo whole by tiles, where that is asked for or is its method's way, and else face by face.

    Methods that need no aligned faces restore by tiles what is larger than their squares.

    Raises:
        RecipeError: tiles, or another size, for a photo said to be an aligned face, or by a method that knows upright
            face squares alone; people, and the method is led by one it has learned.
        PhotoError, ReferencePhotoError: as `restore_photo` and `restore_whole`.
    """
    photo = as_photo(photo)
    asked = settings.tile or (settings.tile is None and settings.changes_size)
    if asked and is_aligned:
        raise RecipeError("an aligned face is restored as one square; leave out --aligned, or --tile and --scale")
    own = DEFAULTS.get(restorer.method.name, Defaults())
    if asked and not own.takes_any_crop:
        raise RecipeError(_no_tiles(restorer.method.name))
    if isinstance(references, People) and isinstance(restorer.method, Personal):
        raise RecipeError(
            f"method {restorer.method.name!r} is led by one person it has learned, and can't tell people apart; leave "
            "out --people, or choose a method that is led by references"
        )
    if isinstance(restorer, Learned) and _are_given(references):
        restorer = restorer.for_chosen_faces()
    is_large = max(photo.pixels.shape[1:]) > restorer.size
    is_way = settings.tile is None and own.takes_any_crop and is_large and not is_aligned
    if asked and isinstance(references, People):
        raise RecipeError("by tiles one person leads the whole picture; leave out --tile and --scale, or --people")
    if (asked or is_way) and not isinstance(references, People):
        return restore_whole(restorer, photo, references, settings, seed, progress)
    return restore_photo(restorer, photo, references, settings, seed, is_aligned, progress)


@torch.no_grad()
def restore_whole(
    restorer: PictureRestorer,
    photo: Picture,
    references: References | Sequence[Picture] = (),
    settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
    seed: int = 0,
    progress: Progress | None = None,
) -> Restoration:
    """Restore a whole picture by tiles, enlarged by `settings.scale` or to `settings.size`.

    No face is looked for: references lead every tile alike. The noise of the whole latent comes from one generator,
    so that the picture does not depend on how many tiles are restored at once.

    Raises:
        PhotoError: the photo can't be read.
        TooLargeError: the result would have more pixels than `settings.max_pixels`; nothing is computed then.
        RecipeError: `settings.size` enlarges the photo more than 20 times.
        ReferencePhotoError: the references can't be used.
    """
    started = time.perf_counter()
    photo = as_photo(photo)
    size = wanted_size(photo, settings)
    if not isinstance(references, References):
        references = gather_references(restorer, references, strict=settings.strict)
    low = resize(photo.pixels, size, "bicubic")
    tiled = restorer.restore_tiles(low, references.features, settings, seed, references.weights, progress)
    pixels = to_grey(tiled.pixels) if photo.is_grey and settings.keep_grey else tiled.pixels
    seconds = time.perf_counter() - started
    image = with_pixels(photo, pixels)
    return Restoration(
        image,
        photo.source,
        (),
        seconds,
        settings,
        references.left_out,
        len(tiled.layout),
        cleaned=restorer.cleans(settings, by_tiles=True),
    )


def wanted_size(photo: Photo, settings: RestoreSettings) -> tuple[int, int]:
    """Return height and width of what is made of a photo.

    Raises:
        TooLargeError: more pixels than the settings allow.
        RecipeError: a side would be more than 20 times as long.
    """
    before = (photo.pixels.shape[1], photo.pixels.shape[2])
    size = settings.size or (round(before[0] * settings.scale), round(before[1] * settings.scale))
    what = f"{photo.source}: {before[1]} x {before[0]} would become {size[1]} x {size[0]}"
    if max(after / side for after, side in zip(size, before, strict=True)) > MAX_SCALE:
        raise RecipeError(f"{what}; a side can become {MAX_SCALE} times as long at most")
    pixels, limit = size[0] * size[1], settings.max_pixels
    if pixels > limit:
        raise TooLargeError(
            f"{what}, {pixels / MEGAPIXEL:.1f} megapixels; the limit is {limit / MEGAPIXEL:g}: "
            "choose a smaller --scale, or raise the limit with --max-pixels (in Python RestoreSettings(max_pixels=...))"
        )
    return size


@torch.no_grad()
def sample_tiles(
    method: Method,
    low: Float[Tensor, "3 h w"],
    led_by: LedBy | None,
    sampling: Sampling,
    seed: int,
    progress: Progress | None = None,
) -> Tiled:
    """Restore a picture (RGB, 0..1) by tiles of the family's size: encode, sample, decode, each by tiles. [StableSR]

    A picture that is no whole number of latent cells, or smaller than a tile, is mirrored at its lower and right edge.
    `progress` counts steps times tiles.
    """
    family, wanted, generators = method.family, sampling.sampler, [generator(seed, "restore")]
    layout = tile_layout(family, (low.shape[1], low.shape[2]), sampling.overlap)
    squares = layout.scaled(pixels_per_cell(family))
    padded = reflect_pad(low, squares.size)
    scheduler = make_scheduler(dict(family.scheduler.config), wanted.name, wanted.scheduled, family.device)
    if wanted.starts_from_low:
        z_LQ = tiled_encode(family, padded, layout, sampling.batch)
    else:
        z_LQ = torch.zeros(1, family.latent_shape[0], *layout.size, device=family.device, dtype=family.dtype)
    x_T = start_latent(scheduler, z_LQ, wanted, generators)

    def bind(tiles: Sequence[Tile]) -> Predict:
        shown = cut(padded, [tile.scaled(pixels_per_cell(family)) for tile in tiles])
        return method.bind(scheduler, shown, [led_by] * len(tiles), sampling.guidance)

    steps = len(scheduler.timesteps) - first_step(scheduler, wanted.fidelity)
    predict = tiled_predict(bind, layout, sampling.batch, _counter(steps * len(layout), progress))
    for step in sample(predict, scheduler, x_T, generators, wanted.fidelity):
        x_0 = step.x_t
    restored = tiled_decode(family, x_0, layout, sampling.batch)
    return Tiled(restored[:, : low.shape[1], : low.shape[2]].contiguous(), squares)


def tile_layout(family: Family, size: tuple[int, int], overlap: float) -> Layout:
    """Lay tiles of the family's size over the latent of a picture; `overlap` is their share that a neighbour covers."""
    cell = pixels_per_cell(family)
    side = family.size // cell
    height, width = (max(side, math.ceil(length / cell)) for length in size)
    shared = min(side - 1, round(overlap * side))
    return Layout.cover((height, width), (side, side), (shared, shared))


def _are_given(references: References | People | Sequence[Picture]) -> bool:
    return bool(references.kept) if isinstance(references, References) else bool(references)


def _no_tiles(method: str) -> str:
    """Say why a method of upright face squares restores no whole pictures, and what to type."""
    fitting = " or ".join(name for name, own in DEFAULTS.items() if own.takes_any_crop)
    return (
        f"method {method!r} knows upright face squares alone, and would draw faces into whatever else a tile shows; "
        f"leave out --tile and --scale, and it restores face by face, or choose --method {fitting}"
    )


def _counter(total: int, progress: Progress | None) -> Done | None:
    """Turn how many more are done into how many are done of the total."""
    if progress is None:
        return None
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, total)

    return count
