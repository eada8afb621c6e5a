"""Does a restored face agree with the photo it was made of: degraded again, it must be the photo. [FaceMe, Eq. 1]

    Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]

What degraded the photo is not known. It is taken for a Gaussian blur, of the width that makes the results most like
the photo, and results are compared no finer than that blur leaves detail: noise and blocks of the photo are not detail.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.paste import FEATHER
from keepface.image.gaussian import fit_gaussian, gaussian

# Widths that are tried, as shares of the square's side: none, then from half a pixel of 256 to 16 of them.
SHARES = (0.0, *(2 ** (step / 4) / 512 for step in range(21)))
MOST_DB = 96.0  # ours: 16 bits; equal pictures have no end


def inner(image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
    """Cut off the soft edge, where a pasted square fades into its photo."""
    edge = round(FEATHER * image.shape[-1])
    return image[..., edge : image.shape[-2] - edge, edge : image.shape[-1] - edge]


def fit_blur(low: Float[Tensor, "3 s s"], restored: Float[Tensor, "k 3 s s"]) -> float:
    """Return the sigma in pixels of the blur that makes restored squares most like their low one, all of them at once.

    sigma = argmin_s sum_k |G_s * y_k - x|^2, over the widths of SHARES.
    """
    side = low.shape[-1]
    return fit_gaussian(low, restored, [share * side for share in SHARES], round(FEATHER * side))


def consistency(low: Float[Tensor, "3 s s"], restored: Float[Tensor, "k 3 s s"], sigma: float) -> Float[Tensor, "k"]:
    """Return for each restored square how well it agrees with the low one, in dB (PSNR, peak 1), at most 96.

    10 log10(1 / mean |G_s * (G_s * y_k - x)|^2): the second blur keeps the photo's noise out.
    """
    apart = gaussian(gaussian(restored, sigma) - low[None], sigma)
    power = inner(apart).double().square().mean((1, 2, 3))
    return (-10 * torch.log10(power.clamp_min(10 ** (-MOST_DB / 10)))).float()
