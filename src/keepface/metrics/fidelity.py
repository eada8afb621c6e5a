"""How near a picture is to the truth, pixel by pixel and window by window.

    Wang, Bovik, Sheikh & Simoncelli 2004, "Image Quality Assessment: From Error Visibility to
    Structural Similarity"  [SSIM]

Everything is computed in float64 on the CPU: in float32 the variance of a flat window is mostly rounding.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

WINDOW_PX = 11  # [SSIM, Sec. III-C]
WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03
LUMA = (0.299, 0.587, 0.114)  # BT.601, full range: the grey of the authors' own code


def psnr(a: Float[Tensor, "*b 3 h w"], b: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """Return the peak signal-to-noise ratio over all three channels in dB; infinite for equal pictures.

    Pictures are RGB, 0..1, so the peak is 1.
    """
    return -10 * torch.log10((_double(a) - _double(b)).square().mean((-3, -2, -1)))


def ssim(a: Float[Tensor, "*b 3 h w"], b: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """Return the mean structural similarity of the luma, -1..1, 1 for equal pictures. [SSIM, Eq. 13]

    Windows are 11x11 Gaussian (sigma 1.5) and lie wholly inside; pictures are RGB, 0..1, at least 11 px a side.
    """
    x, y = _luma(a), _luma(b)  # n 1 h w
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean((-3, -2, -1)).reshape(a.shape[:-3])


def _double(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    return image.to("cpu", torch.float64)


def _luma(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    weights = torch.tensor(LUMA, dtype=torch.float64)
    grey = torch.einsum("...chw,c->...hw", _double(image), weights)
    return grey.reshape(-1, 1, *image.shape[-2:])


def _blur(x: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h2 w2"]:
    offsets = torch.arange(WINDOW_PX, dtype=torch.float64) - WINDOW_PX // 2
    window = torch.exp(-(offsets**2) / (2 * WINDOW_SIGMA**2))
    window = window / window.sum()
    rows = functional.conv2d(x, window.view(1, 1, -1, 1))
    return functional.conv2d(rows, window.view(1, 1, 1, -1))
