"""What a picture file carries beside its pixels: EXIF, colour profile, resolution."""

import io
import math
from typing import Any

from PIL import Image, ImageCms

from keepface.image import exif, png
from keepface.image.exif import Exif
from keepface.image.stream import Stream

ICC_HEADER_BYTES = 128
JPEG_EXIF_BYTES = 65533  # the longest a JPEG segment can hold


def orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(exif.ORIENTATION, 1)
    except Exception:  # Pillow's parsers raise nearly anything on damaged EXIF; the pixels are good all the same
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_exif(image: Image.Image, stream: Stream | None = None) -> Exif | None:
    """Take a picture's EXIF as it stands; `stream` is its file, where it is at hand and EXIF may lie in its own tags.

    `None` where there is none, or it is damaged.
    """
    try:
        if image.format == "TIFF" and stream is not None:
            found = exif.read(stream)
            return found if found.main else None
        if image.format == "PNG" and stream is not None:  # Pillow would load the picture for it
            return exif.from_bytes(png.exif_block(stream) or b"")
        data = image.info.get("exif")
        if data is None:
            pillow = image.getexif()
            data = pillow.tobytes() if len(pillow) else None
        return exif.from_bytes(data) if isinstance(data, bytes) else None
    except Exception:  # Pillow's parsers raise nearly anything on damaged EXIF
        return None


def fit_exif(data: bytes, width: int, height: int, most: int | None = None) -> bytes | None:
    """Rewrite EXIF bytes for pixels of another size; beyond `most` bytes the longest values are left out."""
    found = exif.from_bytes(data)
    if found is None:
        return None
    tidy = exif.tidied(found, width, height)
    return exif.to_bytes(tidy if most is None else exif.fit(tidy, most))


def exif_without_gps(data: bytes) -> bytes | None:
    """Take the place where a photo was taken out of EXIF bytes; `None` when nothing else is left, or all is damaged."""
    found = exif.from_bytes(data)
    return None if found is None else exif.to_bytes(exif.without_gps(found))


def exif_without_orientation(data: bytes) -> bytes | None:
    """Take the orientation out of EXIF bytes, for formats that say it elsewhere."""
    found = exif.from_bytes(data)
    return None if found is None else exif.to_bytes(exif.without_orientation(found))


def usable_icc(data: Any) -> bytes | None:
    """Return a colour profile if it is one at least by its header."""
    if isinstance(data, bytes) and len(data) > ICC_HEADER_BYTES and data[36:40] == b"acsp":
        return data
    return None


def icc_fits(icc: bytes, channels: int) -> bool:
    """Tell whether a profile is for pixels of one (grey) or three (RGB) colour channels."""
    return icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ")


def cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Turn CMYK into sRGB through its own profile, or plainly where there is none that works."""
    if icc is not None:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if turned is not None:
                return turned
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")


def resolution(image: Image.Image, said: Exif | None = None) -> tuple[float, float] | None:
    """Read the dots per inch in x and y; `None` where there are none or they make no sense.

    `said` is the picture's EXIF: where a TIFF or a JPEG gives no resolution Pillow makes up 1 dpi, or 72.
    """
    has_none = said is None or exif.X_RESOLUTION not in said.main
    is_made_up = image.format == "TIFF" or (image.format in ("JPEG", "MPO") and not image.info.get("jfif_unit"))
    if has_none and is_made_up:
        return None
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) and min(x, y) > 0 else None
