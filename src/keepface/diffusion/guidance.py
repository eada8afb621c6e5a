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
