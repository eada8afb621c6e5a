"""References as photos of uneven quality, for methods that look at more of them than a pack's features hold.

    Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]

What a target's references look like is a pure function of (seed, step), as the batch is that they belong to.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.data.pairs import Target
from keepface.data.prepare import Pack
from keepface.data.variants import change
from keepface.errors import RecipeError
from keepface.image.files import from_uint8
from keepface.image.size import resize
from keepface.seeds import numpy_generator

WHOLE_PX = 512  # side of the square that resolutions are given for


@runtime_checkable
class TokenMaker(Protocol):
    """Whoever turns crops into recogniser vectors and image tokens: frozen networks."""

    def tokens(
        self, squares: Sequence[Float[Tensor, "3 _ _"]], landmarks: Sequence[Float[np.ndarray, "5 2"]]
    ) -> dict[str, Float[Tensor, "b ..."]]:
        """Compute `recogniser` and `tokens` of crops; `landmarks` are the five (x, y) points in pixels of each."""
        ...


class ReferencePhotos:
    """Look up the photos that lead a batch's targets, lower their resolution, and make their features.

    Args:
        reference_px: least and greatest resolution, in pixels of a face's square of 512; in a pack of smaller squares
            the same share of their side.
    """

    def __init__(self, pack: Pack, maker: TokenMaker, reference_px: tuple[float, float]) -> None:
        least, most = reference_px
        if not 1 <= least <= most <= WHOLE_PX:
            raise RecipeError(f"[batch]: reference_px is {list(reference_px)}; give two numbers from 1 to {WHOLE_PX}")
        self._pack, self._maker, self._shares = pack, maker, (least / WHOLE_PX, most / WHOLE_PX)

    def features(self, plan: Sequence[Target], step: int, seed: int) -> dict[str, Float[Tensor, "b r ..."]]:
        """Make the features of a plan's references: `recogniser` and `tokens`."""
        squares, landmarks = [], []
        for place, target in enumerate(plan):
            for number, row in enumerate(target.references):
                rng = numpy_generator(seed, "reference", step, place, number)
                square, points = self._photo(row, rng)
                squares.append(coarsen(square, rng.uniform(*self._shares)))
                landmarks.append(points)
        found = self._maker.tokens(squares, landmarks)
        return {name: values.reshape(len(plan), -1, *values.shape[1:]) for name, values in found.items()}

    def _photo(self, row: int, rng: np.random.Generator) -> tuple[Float[Tensor, "3 s s"], Float[np.ndarray, "5 2"]]:
        """Cut the crop of a feature row, margin included; rows of changed forms are changed anew."""
        form, photo = divmod(row, len(self._pack))
        square, points = from_uint8(np.array(self._pack.images[photo])), self._pack.landmarks[photo]
        if form == 0:
            return square, points
        changed = change(square, points, rng)
        return changed.image, changed.landmarks


def coarsen(square: Float[Tensor, "3 s s"], share: float) -> Float[Tensor, "3 s s"]:
    """Leave a square so much of its resolution, at its old size, so that its points stay in place. [RIDFR, Sec. 4.1]"""
    side = square.shape[-1]
    small = max(1, round(side * share))
    return resize(resize(square, (small, small)), (side, side))
