"""Bring a restored picture's colours back to those of the photo it came from.

[StableSR] Wang et al. 2024, "Exploiting Diffusion Prior for Real-World Image Super-Resolution"
[AdaIN]    Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization"
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

WAVELET_LEVELS = 5  # [StableSR]
VARIANCE_FLOOR = 1e-5  # [StableSR]
LUMA_RED, LUMA_BLUE = 0.299, 0.114  # [ITU-R BT.601]
GREY_TOLERANCE = 3 / 255  # ours: JPEG's rounding moves the channels of a grey picture apart by less


def wavelet_colour_fix(
    restored: Float[Tensor, "b 3 h w"], low: Float[Tensor, "b 3 h w"], levels: int = WAVELET_LEVELS
) -> Float[Tensor, "b 3 h w"]:
    """Keep the detail of `restored` and take the low frequencies of `low`. [StableSR, wavelet colour correction]"""
    restored, kept = restored.float(), low.float()
    detail = restored
    for level in range(levels):
        detail, kept = _binomial(detail, 2**level), _binomial(kept, 2**level)
    # The sum over levels of (image - blurred image) telescopes to the image less its last blur.
    return (restored - detail + kept).clamp(0.0, 1.0)


def adain_colour_fix(restored: Float[Tensor, "b 3 h w"], low: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Give each channel of `restored` the mean and spread of `low`'s. [AdaIN, Eq. 8]"""
    mean, spread = _statistics(restored.float())
    low_mean, low_spread = _statistics(low.float())
    return ((restored.float() - mean) / spread * low_spread + low_mean).clamp(0.0, 1.0)


def is_grey(pixels: Float[Tensor, "*b 3 h w"], tolerance: float = GREY_TOLERANCE) -> bool:
    """Tell whether red, green and blue differ nowhere by more than `tolerance`."""
    spread = pixels.amax(dim=-3) - pixels.amin(dim=-3)
    return bool(spread.max() <= tolerance)


def to_grey(pixels: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Put the luma into all three channels; a grey picture comes back bit for bit. [ITU-R BT.601]"""
    red, green, blue = pixels.unbind(dim=-3)
    luma = green + LUMA_RED * (red - green) + LUMA_BLUE * (blue - green)
    return torch.stack([luma, luma, luma], dim=-3)


def _binomial(image: Float[Tensor, "b c h w"], radius: int) -> Float[Tensor, "b c h w"]:
    """Blur by [1 2 1]/4 in both directions, with taps `radius` pixels apart."""
    channels = image.shape[1]
    line = torch.tensor([0.25, 0.5, 0.25], device=image.device)
    kernel = torch.outer(line, line).expand(channels, 1, 3, 3)
    padded = functional.pad(image, (radius, radius, radius, radius), mode="replicate")
    return functional.conv2d(padded, kernel, dilation=radius, groups=channels)


def _statistics(image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 3 1 1"], Float[Tensor, "b 3 1 1"]]:
    mean = image.mean(dim=(2, 3), keepdim=True)
    return mean, (image.var(dim=(2, 3), keepdim=True) + VARIANCE_FLOOR).sqrt()
