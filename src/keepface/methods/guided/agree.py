"""Bring a restored square nearer to agreement with its photo: blurred as the photo is, it should be the photo.

    Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
    Irani and Peleg, CVGIP 1991, "Improving Resolution by Image Registration"  [BackProjection]

References may bring another expression or light than the photo shows. Whatever the photo holds at its own blur is
put back; what is finer stays as it was restored.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from keepface.image.gaussian import fit_gaussian, gaussian
from keepface.image.size import resize

FIT_PX = 128  # the blur is searched for at this side
SIGMAS = tuple(2 ** (step / 2) / 2 for step in range(11))  # px of it: 0.5 to 16
FRAME = 16  # px of it, at the border, that are not compared
LEAST_SIGMA = 1.0  # px of it: a sharper photo is followed by the network itself
MOST_CHANGE = 0.15  # of 0..1: more is a scratch, not an expression


def agree(picture: Float[Tensor, "3 s s"], photo: Float[Tensor, "3 s s"], share: float) -> Float[Tensor, "3 s s"]:
    """Return y + share * G * (x - G * y) for restored square y and photo x, both RGB, 0..1. [BackProjection]

    G is the Gaussian that makes y most like x [FaceMe, Eq. 1]; where the photo is hardly blurred nothing changes.
    """
    small_photo, small = (resize(item.clamp(0, 1), (FIT_PX, FIT_PX), "bicubic") for item in (photo, picture))
    sigma = fit_gaussian(small_photo, small[None], SIGMAS, FRAME)
    if sigma < LEAST_SIGMA:
        return picture
    missing = gaussian(small_photo[None] - gaussian(small[None], sigma), sigma).clamp(-MOST_CHANGE, MOST_CHANGE)
    side = picture.shape[-1]
    added = functional.interpolate(missing, size=(side, side), mode="bicubic", align_corners=False)[0]
    return torch.add(picture, added, alpha=share)
