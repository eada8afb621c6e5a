"""Sensor noise: Gaussian, another value in each colour."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def gaussian_noise(image: Float[Tensor, "3 h w"], sigma: float, seed: int) -> Float[Tensor, "3 h w"]:
    """Add colour Gaussian noise of `sigma` (in 8-bit levels, 0 to 255) and clip to 0..1. [FaceMe, Eq. 6]

    The field depends on `seed` and the picture's size alone.
    """
    field = np.random.default_rng(seed).standard_normal(tuple(image.shape), dtype=np.float32)
    return (image + torch.from_numpy(field) * (sigma / 255)).clamp(0, 1)
