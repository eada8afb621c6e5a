"""Colours under full transparency, which nobody sees: whatever stands there is no part of the picture."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def without_hidden(pixels: Float[Tensor, "3 h w"], alpha: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    """Fill what is fully transparent with the colours around it; all that can be seen stays bit for bit.

    The mean of what is seen is taken over squares of 2, 4, 8 pixels and so on, until there is one for each pixel.
    """
    seen = (alpha > 0).to(pixels)
    if bool(seen.all()) or not bool(seen.any()):
        return pixels
    return torch.where(seen > 0, pixels, _filled(pixels * seen, seen))


def _filled(sums: Float[Tensor, "3 h w"], count: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    """Divide sums by counts, and where nothing was counted take the value of a square twice as wide."""
    mean = sums / count.clamp(min=torch.finfo(count.dtype).tiny)
    if bool((count > 0).all()):
        return mean
    wider, rows = (functional.avg_pool2d(part, 2, ceil_mode=True) for part in (sums, count))
    filled = _filled(wider, rows)[None]
    below = functional.interpolate(filled, sums.shape[-2:], mode="bilinear", align_corners=False)[0]
    return torch.where(count > 0, mean, below)
