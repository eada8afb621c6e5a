"""The network that tells restored squares from real ones, over features of a frozen image network and raw pixels.

    Sauer et al., NeurIPS 2021, "Projected GANs Converge Faster"  [ProjectedGAN]
    Miyato et al., ICLR 2018, "Spectral Normalization for Generative Adversarial Networks"  [SNGAN]

Both sides learn by the hinge loss. The image network is the one of the perceptual loss, so its features are computed
once for both.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

WIDTH, PATCH = 64, 4  # channels of a head; the pixels' head sees blocks of 4 x 4


class Adversary(nn.Module):
    """One head for each stage of features, and one for the pixels; each gives a score to every place."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(count, 2 if place < 2 else 1) for place, count in enumerate(channels))
        self.pixels = _head(3 * PATCH**2, 1)

    def forward(
        self, stages: Sequence[Float[Tensor, "b _ _ _"]], picture: Float[Tensor, "b 3 s s"]
    ) -> list[Float[Tensor, "b 1 _ _"]]:
        """Return the scores of pictures (RGB, 0..1) by their features and pixels; higher is more real."""
        scores = [head(stage) for head, stage in zip(self.heads, stages, strict=True)]
        return [*scores, self.pixels(functional.pixel_unshuffle(2 * picture - 1, PATCH))]


def _head(channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, WIDTH, 3, stride, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(WIDTH, 1, 1)),
    )


def seems_real(scores: Sequence[Float[Tensor, "b 1 _ _"]]) -> Float[Tensor, ""]:
    """Return what the restorer follows downhill: the negative mean score. [SNGAN, Eq. 17]"""
    return -torch.stack([score.mean() for score in scores]).mean()


def told_apart(real: Sequence[Float[Tensor, "b 1 _ _"]], made: Sequence[Float[Tensor, "b 1 _ _"]]) -> Float[Tensor, ""]:
    """Return what the adversary follows downhill: 0 where all real scores are above 1 and all others below -1."""
    losses = [functional.relu(1 - score).mean() for score in real]
    losses += [functional.relu(1 + score).mean() for score in made]
    return 2 * torch.stack(losses).mean()
