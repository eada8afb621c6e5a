"""Resize as published degradations do: without any filter before shrinking."""

from typing import Literal

import cv2
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def bilinear(image: Float[Tensor, "3 h w"], height: int, width: int) -> Float[Tensor, "3 {height} {width}"]:
    """Resize with plain bilinear sampling, which aliases when it shrinks. [FaceMe, Eq. 6]

    To resize a picture well is another function: `keepface.image.size.resize`.
    """
    if image.device.type != "cpu":
        return sample(image, height, width, "bilinear")
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(resized).permute(2, 0, 1).contiguous()


def sample(
    image: Float[Tensor, "3 h w"], height: int, width: int, mode: Literal["area", "bilinear", "bicubic"]
) -> Float[Tensor, "3 {height} {width}"]:
    """Resize on the picture's device as the second-order chain does: "area" averages whole pixels. [Real-ESRGAN]"""
    corners = {} if mode == "area" else {"align_corners": False}
    return functional.interpolate(image[None], (height, width), mode=mode, **corners)[0]
