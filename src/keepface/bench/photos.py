"""The photos that a suite measures on, as aligned squares: a prepared pack, a folder of shards, or of people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.data.prepare import Pack, side_with_margin
from keepface.data.shards import MARGIN, MIN_NATIVE_PX, LeftOut, read_shards
from keepface.data.shards import Row as Photograph
from keepface.degrade.chains import PRESETS, Settings, as_at, draw
from keepface.errors import DataError, FaceError, KeepfaceError, RecipeError
from keepface.faces.align import FFHQ_SIDE, ffhq_template, scale_of, similarity, warp
from keepface.faces.detect import Detector
from keepface.faces.face import Face
from keepface.identity.embed import FaceFinder, reference_face
from keepface.image.files import from_uint8, read_photo
from keepface.image.size import resize
from keepface.metrics.redegraded import Damage
from keepface.seeds import numpy_generator

SPLIT = "val"


@runtime_checkable
class Photos(Protocol):
    """What a suite asks of its data."""

    @property
    def identities(self) -> Sequence[str]:
        """Say who is on each photo."""
        ...

    @property
    def native_px(self) -> Sequence[float]:
        """Tell the side of each crop with its margin in pixels of the original photo."""
        ...

    @property
    def sources(self) -> Sequence[str]:
        """Name the collection of each photo; empty where none is known."""
        ...

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Name the photos that can't be used, and why."""
        ...

    def points(self, index: int) -> Float[np.ndarray, "5 2"]:
        """Return the five (x, y) points of one photo's face, in pixels of whatever holds it: their shape counts."""
        ...

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px."""
        ...


class PackPhotos:
    """A folder written by `keepface data prepare`."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self.identities: Sequence[str] = pack.identities
        self.native_px: Sequence[float] = [float(side) for side in pack.native_px]
        self.sources: Sequence[str] = pack.sources
        self.left_out: Sequence[LeftOut] = pack.left_out

    def points(self, index: int) -> Float[np.ndarray, "5 2"]:
        """Return the face's points in pixels of the pack's square."""
        return self._pack.points(index)

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px."""
        return _sized(from_uint8(self._pack.square(index)), size)


class ShardPhotos:
    """The validation shards of a folder, held in memory."""

    def __init__(self, rows: Sequence[Photograph]) -> None:
        self._images = [row.image for row in rows]
        self.identities: Sequence[str] = [row.identity for row in rows]
        self.native_px: Sequence[float] = [float(row.native_px) for row in rows]
        self.sources: Sequence[str] = [row.source for row in rows]
        self.left_out: Sequence[LeftOut] = ()
        self._points = [row.landmarks for row in rows]

    def points(self, index: int) -> Float[np.ndarray, "5 2"]:
        """Return the face's points in pixels of the shard's crop."""
        return self._points[index]

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px, cut as a pack of that size would cut it."""
        side = side_with_margin(size)
        start = (side - size) // 2
        return _sized(self._images[index], side)[:, start : start + size, start : start + size]


class FolderPhotos:
    """Photos laid out as `person/photo.jpg`; a face is looked for once in each, pixels are read when they are needed.

    A photo may be of any size: squares of 512 px keep the detail that a pack or shards would not hold.
    """

    def __init__(self, root: Path, finder: FaceFinder) -> None:
        self._paths: list[Path] = []
        self._faces: list[Face] = []
        self.identities: list[str] = []
        self.native_px: list[float] = []
        self.sources: list[str] = []
        self.left_out: list[LeftOut] = []
        for path in sorted(root.glob("*/*")):
            if path.is_file() and path.name[0] != ".":
                try:
                    self._add(path, finder)
                except KeepfaceError as error:
                    self.left_out.append(LeftOut(f"{path.parent.name}/{path.name}", str(error)))

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px; what lies outside the photo is mirrored."""
        image = read_photo(self._paths[index]).pixels
        matrix = similarity(self._faces[index].points, ffhq_template(size))
        return warp(image, matrix, size, "reflect").clamp(0, 1)

    def points(self, index: int) -> Float[np.ndarray, "5 2"]:
        """Return the face's points in pixels of the photo."""
        return self._faces[index].points

    def _add(self, path: Path, finder: FaceFinder) -> None:
        face = reference_face(finder.detect(read_photo(path).pixels), path.name)
        native_px = MARGIN * FFHQ_SIDE / scale_of(similarity(face.points, ffhq_template(FFHQ_SIDE)))
        if native_px < MIN_NATIVE_PX:
            raise FaceError(f"the face's crop is {native_px:.0f} px wide in the photo; {MIN_NATIVE_PX} px are needed")
        self._paths.append(path)
        self._faces.append(face)
        self.identities.append(path.parent.name)
        self.native_px.append(native_px)
        self.sources.append("")


def open_photos(folder: Path) -> Photos:
    """Open a prepared pack, the validation shards of a folder, or a folder with one folder of photos a person.

    Raises:
        DataError: the folder is none of them, or none of its photos can be used.
    """
    if (folder / "images.npy").exists():
        return PackPhotos(Pack(folder))
    if any(folder.glob(f"{SPLIT}*.parquet")):
        return ShardPhotos(list(read_shards(folder, SPLIT)))
    if any(path.is_file() for path in folder.glob("*/*")) and not any(folder.glob("*.parquet")):
        photos = FolderPhotos(folder, Detector())
        if photos.identities:
            return photos
        first = photos.left_out[0] if photos.left_out else LeftOut("", "there are none")
        raise DataError(f"{folder}: none of its photos can be used; {first.origin}: {first.reason}")
    raise DataError(
        f"{folder}: neither a prepared pack (images.npy), shards ({SPLIT}-*.parquet), nor people (person/photo.jpg); "
        "make a pack with: keepface data prepare SOURCE PACK --size 128"
    )


def degraded(truth: Float[Tensor, "3 s s"], preset: str, person: str, seed: int) -> Float[Tensor, "3 s s"]:
    """Degrade a target's square: the same draws for a person under a preset in every suite, script and benchmark."""
    return damaged(truth, preset, person, seed).low


def damaged(truth: Float[Tensor, "3 s s"], preset: str, person: str, seed: int, damage_px: int | None = None) -> Damage:
    """Degrade as `degraded` does, and tell the steps; `damage_px` damages it as a square of that side would be.

    Raises:
        RecipeError: as `degradation`.
    """
    size = truth.shape[-1]
    settings = degradation(preset, size, damage_px)
    return Damage.of(truth, draw(settings, numpy_generator(seed, "bench", preset, person), size))


def degradation(preset: str, size: int, damage_px: int | None = None) -> Settings:
    """Return a preset as it is for squares of `size` px, or as it would be for ones of `damage_px`, seen at that size.

    Raises:
        RecipeError: the preset can't be told for another side, see `as_at`.
    """
    try:
        return PRESETS[preset] if damage_px is None else as_at(PRESETS[preset], damage_px, size)
    except RecipeError as reason:
        raise RecipeError(f"bench: preset {preset}: {reason}; give --damage-px 0") from None


def _sized(image: Float[Tensor, "3 t t"], size: int) -> Float[Tensor, "3 s s"]:
    if image.shape[-1] == size:
        return image
    return resize(image, (size, size), "bicubic")
