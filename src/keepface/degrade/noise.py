"""Noise of a picture: Gaussian or of counted light, another value in each colour or the same in all three.

Wang et al., ICCV Workshops 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data"
[Real-ESRGAN]

Every field is drawn on the CPU, so that a seed is the same noise on every device.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.image.colour import to_grey


def gaussian_noise(
    image: Float[Tensor, "3 h w"], sigma: float, seed: int, grey: bool = False
) -> Float[Tensor, "3 h w"]:
    """Add Gaussian noise of `sigma` (in 8-bit levels, 0 to 255) and clip to 0..1. [FaceMe, Eq. 6]

    The field depends on `seed` and the picture's size alone; `grey` gives all colours the same.
    """
    shape = (1, *image.shape[1:]) if grey else tuple(image.shape)
    field = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return (image + torch.from_numpy(field).to(image.device) * (sigma / 255)).clamp(0, 1)


def poisson_noise(image: Float[Tensor, "3 h w"], scale: float, seed: int, grey: bool = False) -> Float[Tensor, "3 h w"]:
    """Count light and add `scale` times what the count is off, then clip to 0..1. [Real-ESRGAN]

    White is as many counts as the picture, rounded to 8 bits, has different levels, up to the next power of two: mostly
    256, and then the noise at x has the variance scale^2 x / 256. `grey` counts the picture's luma.
    """
    source = to_grey(image)[:1] if grey else image
    levels = (source.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    light = levels / 255
    white = 2 ** math.ceil(math.log2(np.count_nonzero(np.bincount(levels.ravel()))))
    counts = np.random.default_rng(seed).poisson(light * white)
    error = torch.from_numpy((counts / white - light).astype(np.float32))
    return (image + scale * error.to(image.device)).clamp(0, 1)
