"""Resize as published degradations do: without any filter before shrinking."""

import cv2
import torch
from jaxtyping import Float
from torch import Tensor


def bilinear(image: Float[Tensor, "3 h w"], height: int, width: int) -> Float[Tensor, "3 {height} {width}"]:
    """Resize with plain bilinear sampling, which aliases when it shrinks. [FaceMe, Eq. 6]

    To resize a picture well is another function: `keepface.image.size.resize`.
    """
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(resized).permute(2, 0, 1).contiguous()
