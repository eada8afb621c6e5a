"""Blur with a kernel; Gaussian kernels, isotropic or stretched along a turned axis.

Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
"""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def squared_distance(size: int, sigma_x: float, sigma_y: float, theta: float) -> Float[np.ndarray, "{size} {size}"]:
    """Return x^T S^-1 x on an odd `size` x `size` grid: the squared distance from its centre, in sigmas.

    `sigma_x` and `sigma_y` are in pixels along the kernel's own axes, `theta` turns these axes, in radians.
    """
    reach = np.arange(size, dtype=np.float64) - (size - 1) / 2
    along = np.cos(theta) * reach[None, :] + np.sin(theta) * reach[:, None]
    across = -np.sin(theta) * reach[None, :] + np.cos(theta) * reach[:, None]
    squared: np.ndarray = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    return squared


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, theta: float) -> Float[np.ndarray, "{size} {size}"]:
    """Sample a Gaussian on an odd `size` x `size` grid and scale its sum to one. [FaceMe, Eq. 6]

    The arguments are those of `squared_distance`.
    """
    kernel = np.exp(-0.5 * squared_distance(size, sigma_x, sigma_y, theta))
    normalised: np.ndarray = (kernel / kernel.sum()).astype(np.float32)
    return normalised


def filter2d(image: Float[Tensor, "3 h w"], kernel: Float[np.ndarray, "k k"]) -> Float[Tensor, "3 h w"]:
    """Correlate each channel with `kernel`; the border is mirrored without repeating the edge pixel."""
    if image.device.type != "cpu":
        return correlate(image, kernel)
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    blurred = cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return torch.from_numpy(blurred).permute(2, 0, 1).contiguous()


def correlate(image: Float[Tensor, "3 h w"], kernel: Float[np.ndarray, "k k"]) -> Float[Tensor, "3 h w"]:
    """Do what `filter2d` does on whatever device the picture is; on the CPU, OpenCV is faster."""
    reach = len(kernel) // 2
    rows, columns = (_mirrored(side, reach).to(image.device) for side in image.shape[1:])
    wide = image[:, rows][:, :, columns]
    weight = torch.from_numpy(kernel).to(image).expand(3, 1, -1, -1)
    return functional.conv2d(wide[None], weight, groups=3)[0]


def _mirrored(side: int, reach: int) -> Tensor:
    """Number the pixels of a row that goes on by `reach` to both sides, mirrored as often as it takes."""
    place = torch.arange(-reach, side + reach)
    if side == 1:
        return torch.zeros_like(place)
    folded = place.remainder(2 * side - 2)
    return torch.minimum(folded, 2 * side - 2 - folded)
