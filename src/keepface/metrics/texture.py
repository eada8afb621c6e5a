"""How different two faces look to one who also sees texture: the "perceptual distance".

    Ding, Ma, Wang & Simoncelli 2020, "Image Quality Assessment: Unifying Structure and Texture Similarity"  [DISTS]

It is built as DISTS is, over FaceNet's first layers, which train nothing here, and without weights learned from human
votes. It is NOT DISTS: its values can only be compared with each other. docs/bench.md says why it is this one.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

SMALL = 1e-6  # keeps the ratios finite where a channel is empty [DISTS]


@runtime_checkable
class Staged(Protocol):
    """Whatever turns a picture into feature maps of several stages."""

    def stages(self, square: Float[Tensor, "3 s s"]) -> list[Float[Tensor, "c h w"]]:
        """Return the feature maps of an aligned square (RGB, 0..1)."""
        ...


class TextureDistance:
    """The perceptual distance between aligned squares."""

    def __init__(self, network: Staged) -> None:
        self._network = network

    def __call__(self, a: Float[Tensor, "3 s s"], b: Float[Tensor, "3 s s"]) -> float:
        """Return the distance, 0 (equal) to 1.5: one less the mean over stages of `likeness`; it is symmetric."""
        stages = zip(self._network.stages(a), self._network.stages(b), strict=True)
        return max(0.0, 1 - float(torch.stack([likeness(x, y) for x, y in stages]).mean()))


def likeness(x: Float[Tensor, "c h w"], y: Float[Tensor, "c h w"]) -> Float[Tensor, ""]:
    """Return how alike two maps are, 1 when equal: texture and structure, half each. [DISTS, Eq. 5, 6, equal weights]

    Texture compares the channels' means, structure their covariance over places with their variances. Maps that are
    nowhere negative are no less alike than -0.5.
    """
    a, b = (part.flatten(1).double() for part in (x, y))
    mean_a, mean_b = a.mean(1), b.mean(1)
    centred_a, centred_b = a - mean_a[:, None], b - mean_b[:, None]
    variances = centred_a.square().mean(1) + centred_b.square().mean(1)
    texture = (2 * mean_a * mean_b + SMALL) / (mean_a**2 + mean_b**2 + SMALL)
    structure = (2 * (centred_a * centred_b).mean(1) + SMALL) / (variances + SMALL)
    return ((texture + structure) / 2).mean()
