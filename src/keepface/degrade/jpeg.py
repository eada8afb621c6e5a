"""JPEG there and back."""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def jpeg(image: Float[Tensor, "3 h w"], quality: int) -> Float[Tensor, "3 h w"]:
    """Round to 8 bits, compress as JPEG of `quality` (1 to 100, colour at half resolution), decode. [FaceMe, Eq. 6]

    A picture on another device goes over the CPU and back.
    """
    pixels = (image.permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).contiguous().cpu().numpy()
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(decoded.astype(np.float32) / 255).permute(2, 0, 1).contiguous().to(image.device)
