"""The photos that a suite measures on: a prepared pack or a folder of shards, as aligned squares of one size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from keepface.data.prepare import Pack, side_with_margin
from keepface.data.shards import Row as Photograph
from keepface.data.shards import read_shards
from keepface.errors import DataError
from keepface.image.files import from_uint8
from keepface.image.size import resize

SPLIT = "val"


@runtime_checkable
class Photos(Protocol):
    """What a suite asks of its data."""

    identities: Sequence[str]
    native_px: Sequence[float]  # side of the stored crop in pixels of the original photo

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px."""
        ...


class PackPhotos:
    """A folder written by `keepface data prepare`."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self.identities: Sequence[str] = pack.identities
        self.native_px: Sequence[float] = [float(side) for side in pack.native_px]

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px."""
        return _sized(from_uint8(self._pack.square(index)), size)


class ShardPhotos:
    """The validation shards of a folder, held in memory."""

    def __init__(self, rows: Sequence[Photograph]) -> None:
        self._images = [row.image for row in rows]
        self.identities: Sequence[str] = [row.identity for row in rows]
        self.native_px: Sequence[float] = [float(row.native_px) for row in rows]

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as an aligned square of `size` px, cut as a pack of that size would cut it."""
        side = side_with_margin(size)
        start = (side - size) // 2
        return _sized(self._images[index], side)[:, start : start + size, start : start + size]


def open_photos(folder: Path) -> Photos:
    """Open a prepared pack, or the validation shards of a folder.

    Raises:
        DataError: the folder is neither.
    """
    if (folder / "images.npy").exists():
        return PackPhotos(Pack(folder))
    if any(folder.glob(f"{SPLIT}*.parquet")):
        return ShardPhotos(list(read_shards(folder, SPLIT)))
    raise DataError(
        f"{folder}: neither a prepared pack (images.npy) nor shards ({SPLIT}-*.parquet); "
        "make a pack with: keepface data prepare SOURCE PACK --size 128"
    )


def _sized(image: Float[Tensor, "3 t t"], size: int) -> Float[Tensor, "3 s s"]:
    if image.shape[-1] == size:
        return image
    return resize(image, (size, size), "bicubic")
