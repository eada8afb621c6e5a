"""Change the size of images without aliasing."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Kind = Literal["bilinear", "bicubic", "area", "lanczos"]
LANCZOS_LOBES = 3


def resize(
    image: Float[Tensor, "*b c h w"], size: tuple[int, int], kind: Kind = "bicubic"
) -> Float[Tensor, "*b c y x"]:
    """Resize to `size` = (height, width) in pixels; shrinking filters first, the result stays in 0 to 1.

    `bilinear`, `bicubic` and `lanczos` are the filters of Pillow; `area` is the mean of the pixels that fall together.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    flat = image.reshape(-1, *image.shape[-3:])
    if kind == "area":
        resized = functional.interpolate(flat, size, mode="area")
    elif kind == "lanczos":
        resized = _lanczos(_lanczos(flat, size[1]).transpose(-1, -2), size[0]).transpose(-1, -2)
    else:
        resized = functional.interpolate(flat, size, mode=kind, align_corners=False, antialias=True)
    return resized.clamp(0.0, 1.0).reshape(*image.shape[:-2], *size)


def _lanczos(image: Float[Tensor, "b c h w"], width: int) -> Float[Tensor, "b c h x"]:
    """Resample the last axis by a windowed sinc, widened by the factor when shrinking. [Duchon 1979]"""
    before = image.shape[-1]
    factor = before / width
    reach = LANCZOS_LOBES * max(factor, 1.0)
    centres = (torch.arange(width, dtype=torch.float64) + 0.5) * factor - 0.5
    taps = (centres - reach).ceil()[:, None] + torch.arange(math.floor(2 * reach) + 1)  # x taps
    offset = (taps - centres[:, None]) / max(factor, 1.0)
    weights = torch.sinc(offset) * torch.sinc(offset / LANCZOS_LOBES)
    weights[(offset.abs() >= LANCZOS_LOBES) | (taps < 0) | (taps >= before)] = 0.0
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(image)
    places = taps.clamp(0, before - 1).long().to(image.device)
    out = image.new_zeros(*image.shape[:-1], width)
    for tap in range(taps.shape[1]):
        out += image[..., places[:, tap]] * weights[:, tap]
    return out
