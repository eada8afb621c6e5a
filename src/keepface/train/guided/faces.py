"""Face crops of parquet shards, kept compressed in memory; squares of any size are cut as they are drawn."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from keepface.data.shards import MARGIN, Shards, read_shards
from keepface.data.variants import flip_points
from keepface.errors import DataError


@dataclass(frozen=True)
class Cut:
    """How a square is cut from a crop: what alignment is off by, in shares of the side, in log scale and radians."""

    shift: tuple[float, float] = (0.0, 0.0)
    log_scale: float = 0.0
    turn: float = 0.0
    flip: bool = False


@dataclass(frozen=True, eq=False)
class Crop:
    """One person's face as it is stored."""

    encoded: bytes
    identity: str
    source: str
    detail_px: float  # side of the FFHQ square up to which the photo holds real detail
    landmarks: Float[np.ndarray, "5 2"]  # px of the stored crop


class FaceCrops:
    """All crops of some shards by person; decoding one takes some milliseconds."""

    def __init__(self, crops: Iterable[Crop]) -> None:
        self.crops = tuple(crops)
        self.people: dict[str, list[int]] = {}
        for number, crop in enumerate(self.crops):
            self.people.setdefault(crop.identity, []).append(number)

    @classmethod
    def read(cls, folder: Path, splits: Iterable[str]) -> "FaceCrops":
        """Read the shards `<split>*.parquet` of a folder.

        Raises:
            DataError: a split has no shards, or one is not such a shard.
        """
        return cls(_crop(cells) for split in splits for cells in _cells(read_shards(folder, split)))

    def __len__(self) -> int:
        return len(self.crops)

    def square(
        self,
        number: int,
        size: int,
        cut: Cut = Cut(),  # noqa: B008 - frozen
    ) -> tuple[UInt8[np.ndarray, "{size} {size} 3"], Float[np.ndarray, "5 2"]]:
        """Cut the square of a crop (RGB, 8 bit) and lead its five points along, as shares of the side."""
        crop = self.crops[number]
        pixels = cv2.imdecode(np.frombuffer(crop.encoded, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise DataError(f"crop {number} of {crop.source}: can't be decoded")
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        side = len(pixels) / MARGIN * math.exp(cut.log_scale)
        matrix = _matrix(len(pixels), side, size, cut)
        if size < 0.8 * side:  # averaged before it shrinks, so that nothing aliases
            pixels = cv2.GaussianBlur(pixels, (0, 0), 0.35 * side / size)
        way = cv2.INTER_LINEAR if size < side else cv2.INTER_CUBIC
        square = cv2.warpAffine(pixels, matrix, (size, size), flags=way, borderMode=cv2.BORDER_REFLECT_101)
        points = crop.landmarks @ matrix[:, :2].T + matrix[:, 2]
        if cut.flip:
            square, points = square[:, ::-1], flip_points(points, size)
        return np.ascontiguousarray(square), ((points + 0.5) / size).astype(np.float32)


def _matrix(stored: int, side: float, size: int, cut: Cut) -> Float[np.ndarray, "2 3"]:
    """Lead pixels of the stored crop to pixels of the square."""
    scale = size / side
    turned = scale * np.array(
        [[math.cos(cut.turn), -math.sin(cut.turn)], [math.sin(cut.turn), math.cos(cut.turn)]], np.float64
    )
    centre = np.full(2, (stored - 1) / 2) + np.array(cut.shift) * side
    return np.hstack([turned, ((size - 1) / 2 - turned @ centre)[:, None]])


def _cells(shards: Shards) -> Iterable[dict[str, Any]]:
    from pyarrow import parquet

    for path in shards.paths:
        for group in parquet.ParquetFile(path).iter_batches(batch_size=256):
            yield from group.to_pylist()


def _crop(cells: dict[str, Any]) -> Crop:
    points = np.array(cells["landmarks"], np.float32).reshape(5, 2)
    detail = float(cells["native_px"]) / MARGIN
    return Crop(cells["image"]["bytes"], str(cells["identity"]), str(cells["source"]), detail, points)
