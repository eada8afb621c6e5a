"""From Pillow's many modes to 1 to 4 plain channels, upright."""

import numpy as np
from jaxtyping import Integer
from PIL import Image

from keepface.errors import PhotoError
from keepface.image import metadata

GREY_MODES = ("1", "L", "LA", "La")
REFUSED_MODES = ("F", "LAB")
DEEP_MAX = 65535


def plain(image: Image.Image, source: str) -> Integer[np.ndarray, "h w c"]:
    """Turn any of Pillow's modes into 1 to 4 plain channels: grey, grey and alpha, RGB, RGB and alpha."""
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > DEEP_MAX:
            raise PhotoError(
                f"{source}: its grey values go beyond 16 bits (0 to {DEEP_MAX}); save it with 8 or 16 bits"
            )
        return grey.astype(np.uint16)[..., None]
    if image.mode in REFUSED_MODES:
        raise PhotoError(f"{source}: pixels of type {image.mode} are not read; save it as RGB with 8 or 16 bits")
    if image.mode == "CMYK":
        image = metadata.cmyk_to_rgb(image, metadata.usable_icc(image.info.get("icc_profile")))
    see_through = image.has_transparency_data
    try:
        if image.mode in GREY_MODES:
            plain = image.convert("LA" if see_through else "L")
        else:
            plain = image.convert("RGBA" if see_through else "RGB")
    except (ValueError, OSError) as error:
        raise PhotoError(f"{source}: is damaged or cut short: {error}") from None
    array = np.asarray(plain)
    return array if array.ndim == 3 else array[..., None]


def upright(array: Integer[np.ndarray, "h w c"], orientation: int) -> Integer[np.ndarray, "y x c"]:
    """Undo an EXIF orientation. [Exif 2.32, tag 0x0112]"""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
