"""HEIC and AVIF out."""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image, features

from keepface.errors import PhotoError
from keepface.image.exif import HEAD
from keepface.image.metadata import exif_without_orientation


@dataclass(frozen=True)
class Metadata:
    """What stands beside the pixels."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def encode_modern(image: Image.Image, form: str, quality: int, said: Metadata) -> bytes:
    """Encode 8 bits as HEIF (HEVC, by pillow-heif) or AVIF (by Pillow), without chroma subsampling.

    Raises:
        PhotoError: what encodes it is not installed.
    """
    # Both say the orientation elsewhere, and would rewrite EXIF that says it.
    plain = None if said.exif is None else exif_without_orientation(said.exif)
    exif = None if plain is None else plain.removeprefix(HEAD)
    out = io.BytesIO()
    if form == "AVIF":
        if not features.check("avif"):
            raise PhotoError("this Pillow is built without AVIF; its wheels from PyPI have it")
        options = {"icc_profile": said.icc, "exif": exif, "xmp": said.xmp}
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        if image.mode not in ("L", "LA"):
            given["subsampling"] = "4:4:4"
        image.save(out, form, quality=quality, **given)
        return out.getvalue()
    try:
        import pillow_heif
    except ImportError:
        raise PhotoError("HEIC is written by pillow-heif: pip install pillow-heif") from None
    if said.icc is not None:
        image.info["icc_profile"] = said.icc
    pillow_heif.from_pillow(image).save(out, quality=quality, chroma=444, exif=exif, xmp=said.xmp)
    return out.getvalue()
