"""The guided network whole: squares and references in, restored squares out, in one pass.

Nothing here knows of files. References are prepared once a person (`prepare`) and may be kept; then any number of
degraded squares can be restored with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.methods.guided.detail import DetailNetwork, DetailOutput
from keepface.methods.guided.guided_core import CoreOutput, GuidedCore, Match
from keepface.methods.guided.layers import grouped
from keepface.methods.guided.tones import Tones, fit_colour

CORE_PX, DETAIL_PX = 128, 256


@dataclass(frozen=True, eq=False)
class PreparedReferences:
    """References in the common tones with their features; item i is of the same photo everywhere."""

    squares: Float[Tensor, "n 3 s s"]  # in the common tones, -1..1, at the network's side
    colour: Float[Tensor, "n"]
    core: tuple[Float[Tensor, "n _ _ _"], ...]
    detail: Float[Tensor, "n _ _ _"] | None  # None: only the core runs

    def __len__(self) -> int:
        return len(self.squares)

    @classmethod
    def join(cls, parts: "Sequence[PreparedReferences]") -> "PreparedReferences":
        """Put references that were prepared apart together, in order; all by one network."""
        details = [part.detail for part in parts if part.detail is not None]
        core = tuple(torch.cat(level) for level in zip(*(part.core for part in parts), strict=True))
        squares, colour = (
            torch.cat(list(items)) for items in zip(*((p.squares, p.colour) for p in parts), strict=True)
        )
        return cls(squares, colour, core, torch.cat(details) if details else None)


@dataclass(frozen=True, eq=False)
class GuidedOutput:
    """Restored squares and where each pixel came from."""

    picture: Float[Tensor, "b 3 s s"]  # RGB, 0..1 but for rounding beyond; not clamped
    core: CoreOutput  # in the common tones
    detail: DetailOutput | None  # in the common tones
    tones: Tones

    @property
    def match(self) -> Match:
        """Return the finest match: from which place of which reference each place was taken."""
        return self.core.match if self.detail is None else self.detail.match

    @property
    def copied(self) -> Float[Tensor, "b 1 s s"]:
        """Return how much of each pixel is the references' own, 0..1."""
        if self.detail is None:
            return self.core.copied
        base, mix = self.detail.parts[:, :1], self.detail.parts[:, 1:2]
        side = base.shape[-1]
        return mix + base * functional.interpolate(self.core.copied, size=(side, side), mode="bilinear")


class GuidedNetwork(nn.Module):
    """A core at 128 px and, where it has one, a detail stage at 256 px."""

    def __init__(self, has_detail: bool = True) -> None:
        super().__init__()
        self.core = GuidedCore()
        self.detail = DetailNetwork() if has_detail else None

    @property
    def size(self) -> int:
        """Return the side of the squares in pixels."""
        return CORE_PX if self.detail is None else DETAIL_PX

    def prepare(self, references: Float[Tensor, "n 3 s s"]) -> PreparedReferences:
        """Prepare aligned squares (RGB, 0..1, at the network's side) of references; no photo takes part."""
        tones = Tones.of(references)
        common = tones.to_common(references)
        detail = None if self.detail is None else self.detail.encode_references(common)
        core = tuple(self.core.encode_references(shrink(common, CORE_PX)))
        return PreparedReferences(common, tones.colour, core, detail)

    def forward(
        self, photo: Float[Tensor, "b 3 s s"], references: PreparedReferences, weights: Float[Tensor, "b k"]
    ) -> GuidedOutput:
        """Restore degraded squares (RGB, 0..1); `references` are those of all squares, k (1 or more) each.

        Weights are 0 or more; a reference of weight 0 changes nothing.
        """
        tones = Tones.of(photo)
        common = tones.to_common(photo)
        count = weights.shape[1]
        squares = grouped(references.squares, count)
        fitted = fit_colour(squares, references.colour.reshape(weights.shape), tones.colour)
        small = grouped(shrink(fitted.flatten(0, 1), CORE_PX), count)
        core = self.core(shrink(common, CORE_PX), small, list(references.core), weights)
        if self.detail is None or references.detail is None:
            return GuidedOutput(tones.from_common(core.picture), core, None, tones)
        detail = self.detail(common, fitted, references.detail, weights, core)
        return GuidedOutput(tones.from_common(detail.picture), core, detail, tones)


def shrink(squares: Float[Tensor, "b 3 s s"], side: int) -> Float[Tensor, "b 3 {side} {side}"]:
    """Average squares down to another side; their side must be a multiple of it."""
    return squares if squares.shape[-1] == side else functional.avg_pool2d(squares, squares.shape[-1] // side)
