"""Classifier-free guidance. [CFG]

Ho & Salimans 2022, "Classifier-free diffusion guidance"  [CFG]
"""

from jaxtyping import Float
from torch import Tensor


def guide(without: Float[Tensor, "b c h w"], given: Float[Tensor, "b c h w"], scale: float) -> Float[Tensor, "b c h w"]:
    """Move the prediction from `without` a condition towards, and past, the one `given` it. [CFG]

    Scale 0 is the prediction without the condition, 1 the one with it, more exaggerates it.
    """
    return without + scale * (given - without)


def guide_halves(prediction: Float[Tensor, "b2 c h w"], scale: float) -> Float[Tensor, "b c h w"]:
    """Guide to the identity (second half) from the prediction without it (first half). [FaceMe, Eq. 5]

    The low picture is present in both halves, so guidance never exaggerates it.
    """
    without, given = prediction.chunk(2)
    return guide(without, given, scale)
