"""Blur with Gaussian kernels, isotropic or stretched along a turned axis.

Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
"""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, theta: float) -> Float[np.ndarray, "{size} {size}"]:
    """Sample a Gaussian on an odd `size` x `size` grid and scale its sum to one. [FaceMe, Eq. 6]

    `sigma_x` and `sigma_y` are in pixels along the kernel's own axes, `theta` turns these axes, in radians.
    """
    reach = np.arange(size, dtype=np.float64) - (size - 1) / 2
    along = np.cos(theta) * reach[None, :] + np.sin(theta) * reach[:, None]
    across = -np.sin(theta) * reach[None, :] + np.cos(theta) * reach[:, None]
    kernel = np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))
    normalised: np.ndarray = (kernel / kernel.sum()).astype(np.float32)
    return normalised


def filter2d(image: Float[Tensor, "3 h w"], kernel: Float[np.ndarray, "k k"]) -> Float[Tensor, "3 h w"]:
    """Correlate each channel with `kernel`; the border is mirrored without repeating the edge pixel."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    blurred = cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return torch.from_numpy(blurred).permute(2, 0, 1).contiguous()
