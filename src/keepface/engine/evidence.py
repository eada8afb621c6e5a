"""Per pixel: what of a restored face came from the photo, what from the references, and what was invented.

Draws of one face differ by their seed alone: what differs between them was in neither photo nor references. Draws with
and without references, seed by seed, differ by what the references brought. What stays the same in all of them, down
to a difference that can't be seen, is counted as the photo's. See docs/evidence.md for the formulas and their limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.consistency import fit_blur, inner
from keepface.faces.paste import paste
from keepface.image.gaussian import gaussian

DRAWS = 4  # ours: with fewer candidates than two, so many are drawn to measure their spread
WINDOW = 1 / 32  # ours: sigma of the window that energies are averaged over, in sides of the square
UNSEEN = 2 / 255  # ours: root mean square of a difference that can't be seen
SOURCES = ("photo", "references", "invented")
TINTS = ((0.0, 0.0, 0.0), (0.0, 0.447, 0.698), (0.835, 0.369, 0.0))  # blue and vermilion, told apart by all eyes
STRENGTH = 0.8  # of the tints


@dataclass(frozen=True)
class Shares:
    """One face in numbers, 0..1; the first three sum to one."""

    face: int  # its place among the faces of the photo, from 0
    photo: float
    references: float
    invented: float
    finer_than_photo: float  # share of the result's contrast in detail finer than the photo holds
    by_reference: tuple[float, ...] = ()  # how `references` is shared among them, in order; one-pass methods tell it

    def to_json(self) -> dict[str, Any]:
        """Return the shares as plain data; faces are counted from 1."""
        values = {name: round(getattr(self, name), 4) for name in (*SOURCES, "finer_than_photo")}
        more = {"by_reference": [round(share, 4) for share in self.by_reference]} if self.by_reference else {}
        return {"face": self.face + 1, **values, **more}


@dataclass(frozen=True, eq=False)
class Evidence:
    """Where a picture came from: three maps over its pixels that sum to one, and the faces in numbers."""

    maps: Float[Tensor, "3 h w"]  # photo, references, invented
    faces: tuple[Shares, ...]
    draws: int  # seeds that the spread was measured over

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return {"draws": self.draws, "faces": [face.to_json() for face in self.faces]}

    def overlay(self, pixels: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """Tint a picture of the maps' size: blue what the references brought, vermilion what was invented."""
        grey = pixels.mean(0, keepdim=True).expand(3, -1, -1)
        share = STRENGTH * self.maps[1:].sum(0)
        tinted = torch.einsum("mhw,mc->chw", STRENGTH * self.maps[1:], torch.tensor(TINTS[1:]))
        return ((1 - share) * grey + tinted).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Draws:
    """One face drawn from several seeds, with its references and, seed by seed, without; `None`: it had none."""

    low: Float[Tensor, "3 s s"]
    led: Float[Tensor, "k 3 s s"]
    unled: Float[Tensor, "k 3 s s"] | None = None


def square_maps(draws: Draws) -> Float[Tensor, "3 s s"]:
    """Split each pixel of a face among photo, references and invention.

    With y_k the draws, z_k those without references, <> the mean over k, W* a Gaussian window over the square:
        invented    I = W * var_k(y_k)
        references  R = W * (<y_k - z_k>^2 - var_k(y_k - z_k) / K), not below 0
        photo       P = W * (<h_k>^2 - var_k(h_k) / K), not below 0, plus UNSEEN^2;  h_k = z_k - W * z_k
    each a mean over the three channels; the maps are P, R and I over their sum.
    """
    sigma = WINDOW * draws.low.shape[-1]
    without = draws.led if draws.unled is None else draws.unled
    detail = without - gaussian(without, sigma)
    invented = _windowed(draws.led.var(0), sigma)
    references = torch.zeros_like(invented) if draws.unled is None else _settled(draws.led - draws.unled, sigma)
    photo = _settled(detail, sigma) + UNSEEN**2
    energies = torch.stack([photo, references, invented])
    return energies / energies.sum(0)


def finer_than_photo(draws: Draws) -> float:
    """Return the share of the draws' contrast that is lost by the blur which makes them the photo. [FaceMe, Eq. 1]

    1 - sum var(G_s * y_k) / sum var(y_k) over the face's middle; 0 where the photo is as sharp as the result.
    """
    blurred = inner(gaussian(draws.led, fit_blur(draws.low, draws.led)))
    before, after = (pixels.double().var((2, 3)).sum() for pixels in (inner(draws.led), blurred))
    return float((1 - after / before.clamp_min(1e-12)).clamp(0, 1))


def shares(face: int, maps: Float[Tensor, "3 s s"], draws: Draws) -> Shares:
    """Average a face's maps over its middle, without the soft edge."""
    photo, references, invented = inner(maps[None])[0].mean((1, 2)).tolist()
    return Shares(face, photo, references, invented, finer_than_photo(draws))


def spread_out(
    size: tuple[int, int],
    maps: Sequence[Float[Tensor, "3 s s"]],
    matrices: Sequence[Float[np.ndarray, "2 3"]],
) -> Float[Tensor, "3 h w"]:
    """Lay the maps of faces into a picture of (height, width) under the mask of the paste; elsewhere all is photo."""
    whole = torch.zeros(3, *size)
    whole[0] = 1
    for square, matrix in zip(maps, matrices, strict=True):
        whole = paste(whole, square, matrix).pixels
    return whole / whole.sum(0)


def _settled(values: Float[Tensor, "k 3 s s"], sigma: float) -> Float[Tensor, "s s"]:
    """Return the power of what the draws agree on: that of their mean, less what chance leaves in a mean of k."""
    power = _windowed(values.mean(0).square() - values.var(0) / len(values), sigma)
    return power.clamp_min(0)


def _windowed(power: Float[Tensor, "3 s s"], sigma: float) -> Float[Tensor, "s s"]:
    return gaussian(power[None], sigma)[0].mean(0)
