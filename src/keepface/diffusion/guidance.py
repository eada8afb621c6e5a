"""Classifier-free guidance. [CFG]

Ho & Salimans 2022, "Classifier-free diffusion guidance"  [CFG]
"""

from collections.abc import Callable

import torch
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


def in_parts(predict: Callable[[slice], Tensor], count: int, at_once: int | None) -> Tensor:
    """Predict `count` items, so many of them at once; `None` is all, which is fastest and takes the most memory."""
    step = at_once or count
    parts = [predict(slice(begin, begin + step)) for begin in range(0, count, step)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
