"""Pictures as the page shows them: smaller, and inside the page itself, so that no file of them lies about."""

import base64

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.engine.result import Box
from keepface.image.files import Photo, encode_photo, to_uint8
from keepface.image.size import resize

SHOWN_PX = 1600  # ours: longer side of a picture on the page; what is downloaded has every pixel
FACE_PX = 176
MARGIN = 0.45  # ours: of the face's longer side, around it


def shown(pixels: Float[Tensor, "3 h w"], most_px: int = SHOWN_PX) -> UInt8[np.ndarray, "y x 3"]:
    """Return a picture (RGB, 0..1) for the screen, its longer side at most `most_px` pixels."""
    return to_uint8(_at_most(pixels, most_px))


def inline(pixels: Float[Tensor, "3 h w"], most_px: int = FACE_PX) -> str:
    """Return a picture (RGB, 0..1) as the address of itself, to be put into an `img`."""
    return data_address(encode_photo(Photo(_at_most(pixels, most_px)), "JPEG"))


def data_address(picture: bytes) -> str:
    """Return the bytes of a PNG or JPEG file as an address that holds them."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def around(pixels: Float[Tensor, "3 h w"], box: Box, scale: float = 1.0) -> Float[Tensor, "3 y x"]:
    """Cut a face out with some room around it; `scale` is how many times as long the picture is as the box's photo."""
    height, width = pixels.shape[1:]
    left, top, right, bottom = (edge * scale for edge in box)
    reach = max(right - left, bottom - top) * (0.5 + MARGIN)
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, x1 = (min(max(round(edge), 0), width) for edge in (x - reach, x + reach))
    y0, y1 = (min(max(round(edge), 0), height) for edge in (y - reach, y + reach))
    return pixels[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] if x0 < width and y0 < height else pixels


def _at_most(pixels: Float[Tensor, "3 h w"], most_px: int) -> Float[Tensor, "3 y x"]:
    height, width = pixels.shape[1:]
    scale = min(1.0, most_px / max(height, width))
    return resize(pixels, (max(1, round(height * scale)), max(1, round(width * scale))), "bicubic").clamp(0, 1)
