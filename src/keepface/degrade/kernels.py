"""Kernels that are no Gaussian: flatter or sharper ones, the ringing of a sharp low-pass, a moving camera.

Wang et al., ICCV Workshops 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data"
[Real-ESRGAN]
"""

import math

import numpy as np
import torch
from jaxtyping import Float

from keepface.degrade.blur import squared_distance

Kernel = Float[np.ndarray, "k k"]
POINTS_PER_PX = 16  # of a motion's path  # ours


def generalised_kernel(size: int, sigma_x: float, sigma_y: float, theta: float, beta: float) -> Kernel:
    """Sample exp(-(x^T S^-1 x)^beta / 2), its sum one: a Gaussian at `beta` 1, flatter above. [Real-ESRGAN]

    The other arguments are those of `keepface.degrade.blur.squared_distance`.
    """
    return _normalised(np.exp(-0.5 * squared_distance(size, sigma_x, sigma_y, theta) ** beta))


def plateau_kernel(size: int, sigma_x: float, sigma_y: float, theta: float, beta: float) -> Kernel:
    """Sample 1 / (1 + (x^T S^-1 x)^beta), its sum one; the greater `beta`, the steeper the plateau. [Real-ESRGAN]

    The other arguments are those of `keepface.degrade.blur.squared_distance`.
    """
    return _normalised(1 / (1 + squared_distance(size, sigma_x, sigma_y, theta) ** beta))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Sample the ideal low-pass of radius `cutoff` (radians per pixel, up to pi), its sum one. [Real-ESRGAN]

    At radius r it is cutoff J1(cutoff r) / (2 pi r), cutoff^2 / (4 pi) in the centre; cut to `size` pixels, it rings.
    """
    radius = torch.from_numpy(np.sqrt(squared_distance(size, 1.0, 1.0, 0.0)))
    centre = size // 2
    radius[centre, centre] = 1.0
    kernel = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[centre, centre] = cutoff**2 / (4 * math.pi)
    return _normalised(kernel.numpy())


def motion_kernel(length: float, theta: float) -> Kernel:
    """Draw a straight path of `length` pixels, `theta` radians from the x axis, anti-aliased, its sum one.

    Points along the path are shared among their four pixels.  # ours: the paper names motion blur and no kernel
    """
    reach = math.ceil(length / 2)
    count = POINTS_PER_PX * max(1, math.ceil(length))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    x, y = (reach + along * turn for turn in (math.cos(theta), math.sin(theta)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2))
    for right, share_x in ((0, left + 1 - x), (1, x - left)):
        for down, share_y in ((0, top + 1 - y), (1, y - top)):
            np.add.at(kernel, (top + down, left + right), share_x * share_y)
    return _normalised(kernel[:-1, :-1])


def _normalised(kernel: Float[np.ndarray, "k k"]) -> Kernel:
    normalised: np.ndarray = (kernel / kernel.sum()).astype(np.float32)
    return normalised
