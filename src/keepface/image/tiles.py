"""Cut a large grid (a latent, a picture) into overlapping tiles, and blend tiles back with Gaussian weights.

[StableSR] Wang et al. 2024, "Exploiting Diffusion Prior for Real-World Image Super-Resolution"
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from keepface.errors import RecipeError

VARIANCE = 0.01  # of the Gaussian, in squared tile sides [StableSR]


@dataclass(frozen=True)
class Tile:
    """One rectangle of a grid: its first row and column, its height and width."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Return its rows."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Return its columns."""
        return slice(self.left, self.left + self.width)

    def scaled(self, factor: int) -> "Tile":
        """Return the same tile on a grid that is `factor` times as fine."""
        return Tile(*(factor * value for value in (self.top, self.left, self.height, self.width)))


@dataclass(frozen=True)
class Layout:
    """Tiles of one size that cover a grid; `size` and `tile` are height and width, `rows` and `columns` the starts."""

    size: tuple[int, int]
    tile: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def cover(cls, size: tuple[int, int], tile: tuple[int, int], overlap: tuple[int, int]) -> "Layout":
        """Lay tiles over a grid so that neighbours overlap by `overlap` cells, the last ones by more.

        Raises:
            RecipeError: the grid is smaller than a tile, or tiles overlap by a whole tile.
        """
        each = [starts(*values) for values in zip(size, tile, overlap, strict=True)]
        return cls(size, tile, each[0], each[1])

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Tile]:
        """Go through the tiles row by row."""
        return (Tile(top, left, *self.tile) for top in self.rows for left in self.columns)

    def scaled(self, factor: int) -> "Layout":
        """Return the same tiles on a grid that is `factor` times as fine."""
        height, width = self.size
        rows, columns = (tuple(factor * start for start in axis) for axis in (self.rows, self.columns))
        return Layout((factor * height, factor * width), (factor * self.tile[0], factor * self.tile[1]), rows, columns)

    def batches(self, count: int) -> Iterator[list[Tile]]:
        """Go through the tiles, `count` at a time; the last batch may be smaller."""
        tiles = list(self)
        return (tiles[first : first + count] for first in range(0, len(tiles), count))

    def borders(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the rows and columns at which, inside the grid, a tile begins or has just ended."""
        return _edges(self.rows, self.tile[0], self.size[0]), _edges(self.columns, self.tile[1], self.size[1])


def starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return where tiles begin along one axis: k * (tile - overlap), the last one moved back to the end. [StableSR]

    Raises:
        RecipeError: the axis is shorter than a tile, or tiles overlap by a whole tile.
    """
    if not 0 <= overlap < tile:
        raise RecipeError(f"tiles of {tile} overlap by {overlap}; it must be from 0 to {tile - 1}")
    if length < tile:
        raise RecipeError(f"a grid of {length} is smaller than its tiles of {tile}; pad it first: reflect_pad")
    last = length - tile
    return (*range(0, last, tile - overlap), last)


def gaussian_weights(tile: int) -> Float64[Tensor, "n"]:
    """Return a tile's weights along one axis: w(x) = exp(-((x - m) / n)^2 / (2 var)) / sqrt(2 pi var). [StableSR]

    The middle m is (n - 1) / 2 on both axes; the release has n / 2 on one of them.  # ours
    """
    x = (torch.arange(tile, dtype=torch.float64) - (tile - 1) / 2) / tile
    return torch.exp(-x.square() / (2 * VARIANCE)) / math.sqrt(2 * math.pi * VARIANCE)


def shares(length: int, tile: int, begins: Sequence[int]) -> list[Float64[Tensor, "n"]]:
    """Return what share each tile has along one axis, cell by cell: its weight over the sum of all tiles' weights.

    Where one tile lies alone its share is exactly 1. A grid of tiles has separable weights, so that the share of a
    tile is the product of its shares along both axes, and no sum of weights needs to be kept.
    """
    weights, total = gaussian_weights(tile), torch.zeros(length, dtype=torch.float64)
    for begin in begins:
        total[begin : begin + tile] += weights
    return [weights / total[begin : begin + tile] for begin in begins]


class Blend:
    """The weighted mean of tiles, summed up in a tensor that is given: `out` holds it when all tiles were added."""

    def __init__(self, layout: Layout, out: Float[Tensor, "c h w"]) -> None:
        if tuple(out.shape[-2:]) != layout.size:
            raise RecipeError(f"tiles of a grid of {layout.size} can't be blended into one of {tuple(out.shape[-2:])}")
        self.out = out.zero_()
        self._rows = dict(zip(layout.rows, shares(layout.size[0], layout.tile[0], layout.rows), strict=True))
        self._columns = dict(zip(layout.columns, shares(layout.size[1], layout.tile[1], layout.columns), strict=True))

    def add(self, tile: Tile, values: Float[Tensor, "c y x"]) -> None:
        """Add one tile of the layout; each is to be added once."""
        share = torch.outer(self._rows[tile.top], self._columns[tile.left]).to(self.out)
        self.out[:, tile.rows, tile.columns] += values.to(self.out) * share


def cut(grid: Float[Tensor, "c h w"], tiles: Sequence[Tile]) -> Float[Tensor, "b c y x"]:
    """Cut tiles of one size out of a grid."""
    return torch.stack([grid[:, tile.rows, tile.columns] for tile in tiles])


def reflect_pad(image: Float[Tensor, "c h w"], size: tuple[int, int]) -> Float[Tensor, "c y x"]:
    """Enlarge a picture to `size` (height, width) by mirroring it at its lower and right edge, as often as needed.

    The edge itself is not doubled; a side of one pixel is repeated.
    """
    for axis, length in enumerate(size, start=1):
        count = image.shape[axis]
        if length > count:
            place = torch.arange(length, device=image.device) % max(2 * count - 2, 1)
            image = image.index_select(axis, torch.minimum(place, 2 * count - 2 - place).clamp(min=0))
    return image


def _edges(begins: tuple[int, ...], tile: int, length: int) -> tuple[int, ...]:
    edges = {*begins, *(begin + tile for begin in begins)}
    return tuple(sorted(edges - {0, length}))
