"""What a picture file carries beside its pixels: EXIF, colour profile, resolution."""

import io
import math
from typing import Any

from PIL import ExifTags, Image, ImageCms

ORIENTATION = ExifTags.Base.Orientation
SIZE_TAGS = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
POINTER_TAGS = (ExifTags.IFD.Interop, ExifTags.IFD.MakerNote)  # hold places in the old file: stale in any other
SUB_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# Tags of TIFF that describe how this one file stores its pixels: wrong in any other file.
STRUCTURE_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 292, 293, 297}
    | {301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 332, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517}
    | {518, 519, 520, 521, 529, 530, 531, 532, 700, 34675}  # the last two: XMP and ICC, which go their own ways
)
ICC_HEADER_BYTES = 128
JPEG_EXIF_BYTES = 65533  # the longest a JPEG segment can hold


def orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow's parsers raise nearly anything on damaged EXIF; the pixels are good all the same
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exif_bytes(image: Image.Image, width: int, height: int) -> bytes | None:
    """Take a picture's EXIF as bytes that suit its upright pixels; `None` where there is none or it is damaged."""
    try:
        exif = image.getexif()
        return _tidy(exif, width, height) if len(exif) else None
    except Exception:
        return None


def fit_exif(data: bytes, width: int, height: int) -> bytes | None:
    """Rewrite EXIF bytes for pixels of another size."""
    try:
        exif = Image.Exif()
        exif.load(data)
        return _tidy(exif, width, height)
    except Exception:
        return None


def exif_without_gps(data: bytes) -> bytes | None:
    """Take the place where a photo was taken out of EXIF bytes; `None` when nothing else is left, or all is damaged."""
    try:
        exif = Image.Exif()
        exif.load(data)
        kept = Image.Exif()
        for tag, value in exif.items():
            if tag not in SUB_IFDS:
                kept[tag] = value
        if inner := dict(exif.get_ifd(ExifTags.IFD.Exif)):
            kept[ExifTags.IFD.Exif] = inner
        return kept.tobytes() if len(kept) else None
    except Exception:  # Pillow's parsers raise nearly anything on damaged EXIF
        return None


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


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Read the dots per inch in x and y; `None` where there are none or they make no sense."""
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) and min(x, y) > 0 else None


def _tidy(exif: Image.Exif, width: int, height: int) -> bytes | None:
    """Copy EXIF with orientation 1 and the true size; Pillow's copy leaves the old thumbnail out."""
    tidy = Image.Exif()
    for tag, value in exif.items():
        if tag not in STRUCTURE_TAGS and tag not in SUB_IFDS:
            tidy[tag] = value
    for tag in SUB_IFDS:
        inner = {name: value for name, value in exif.get_ifd(tag).items() if name not in POINTER_TAGS}
        if tag == ExifTags.IFD.Exif:
            sizes = zip(SIZE_TAGS, (width, height), strict=True)
            inner.update({name: value for name, value in sizes if name in inner})
        if inner:
            tidy[tag] = inner
    if ORIENTATION in tidy:
        tidy[ORIENTATION] = 1
    return tidy.tobytes() if len(tidy) else None
