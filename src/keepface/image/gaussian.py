"""Blur by a Gaussian, and find the Gaussian that makes one picture most like another."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

REACH = 3.0  # sigmas at which the kernel ends


def gaussian(image: Float[Tensor, "b 3 h w"], sigma: float) -> Float[Tensor, "b 3 h w"]:
    """Blur by a Gaussian of `sigma` pixels, mirrored at the border; 0 leaves the picture as it is."""
    if sigma <= 0:
        return image
    reach = min(math.ceil(REACH * sigma), min(image.shape[-2:]) - 1)
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = (window / window.sum()).expand(3, 1, 1, -1)
    wide = functional.pad(image, (reach,) * 4, mode="reflect")
    rows = functional.conv2d(wide, window, groups=3)
    return functional.conv2d(rows, window.transpose(2, 3), groups=3)


def fit_gaussian(
    blurred: Float[Tensor, "3 h w"],
    sharp: Float[Tensor, "k 3 h w"],
    sigmas: Sequence[float],
    frame: int = 0,
) -> float:
    """Return the one of `sigmas` (px) that makes sharp pictures most like the blurred one, all of them at once.

    argmin_s sum_k |G_s * y_k - x|^2; `frame` pixels at the border are blurred but not compared.
    """

    def inside(image: Tensor) -> Tensor:
        return image[..., frame : image.shape[-2] - frame, frame : image.shape[-1] - frame]

    errors = [float((inside(gaussian(sharp, sigma)) - inside(blurred[None])).square().mean()) for sigma in sigmas]
    return sigmas[min(range(len(sigmas)), key=errors.__getitem__)]
