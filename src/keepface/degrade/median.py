"""Median blur: what old denoisers leave."""

import cv2
import torch
from jaxtyping import Float
from torch import Tensor


def median_blur(image: Float[Tensor, "3 h w"], size: int) -> Float[Tensor, "3 h w"]:
    """Take each colour's median of `size` x `size` pixels, 3 or 5; the border is repeated.

    A picture on another device goes over the CPU and back.
    """
    pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
    return torch.from_numpy(cv2.medianBlur(pixels, size)).permute(2, 0, 1).contiguous().to(image.device)
