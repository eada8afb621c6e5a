"""How different two pictures look to an image network: the "effnet distance".

    Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"  [LPIPS]

It is built as LPIPS is, over the features of EfficientNet-Lite0 and without weights learned from human votes. It
is NOT LPIPS: its values can only be compared with each other.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.identity.image_encoder import ImageEncoder


class PerceptualDistance:
    """The effnet distance between pictures; gradients flow through it, so it can be a loss as well."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder

    def __call__(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b"]:
        """Return the distance of each pair, 0 (equal) to 4: the mean over stages of `stage_distance`.

        Pictures are RGB, 0..1; both are of one size, for the value depends on it.
        """
        stages = zip(self.encoder.stages(a), self.encoder.stages(b), strict=True)
        return torch.stack([stage_distance(x, y) for x, y in stages]).mean(0)


def stage_distance(x: Float[Tensor, "b c h w"], y: Float[Tensor, "b c h w"]) -> Float[Tensor, "b"]:
    """Return the mean squared distance between the unit feature vectors at each place. [LPIPS, Eq. 1, all w = 1]"""
    return (_unit(x) - _unit(y)).square().sum(1).mean((1, 2))


def _unit(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    # the square root of a zero vector has no finite slope; a picture of one colour can hold such vectors
    return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()
