"""TIFF out: Pillow writes 8 bits only, and fails where EXIF goes with compression."""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image, TiffImagePlugin, TiffTags

IN_ORDER, BLACK_IS_ZERO, RGB, DEFLATE, PLAIN_ALPHA, PER_INCH = 1, 1, 2, 8, 2, 2
STRIP_OFFSET, XMP = 273, 700


def encode_tiff(
    pixels: UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"],
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None = None,
) -> bytes:
    """Encode 1 to 4 channels (grey or RGB, then alpha) as one deflated strip. [TIFF 6.0; Adobe TIFF Technical Notes]"""
    height, width, channels = pixels.shape
    bits = pixels.dtype.itemsize * 8
    strip = zlib.compress(pixels.astype(f"<u{pixels.dtype.itemsize}").tobytes(), 6)
    ifd = TiffImagePlugin.ImageFileDirectory_v2(ifh=b"II\x2a\x00\x00\x00\x00\x00")
    if exif is not None:
        _copy_exif(exif, ifd)
    ifd[256], ifd[257], ifd[258] = width, height, (bits,) * channels
    ifd[259], ifd[262] = DEFLATE, BLACK_IS_ZERO if channels < 3 else RGB
    ifd[277], ifd[278], ifd[279], ifd[284] = channels, height, len(strip), IN_ORDER
    if channels in (2, 4):
        ifd[338] = PLAIN_ALPHA
    if icc is not None:
        ifd[34675] = icc
    if xmp is not None:
        ifd.tagtype[XMP] = TiffTags.BYTE
        ifd[XMP] = xmp
    if dpi is not None:
        ifd[282], ifd[283], ifd[296] = *dpi, PER_INCH
    ifd[STRIP_OFFSET] = 0  # counted by Pillow from the end of the directory
    return b"II\x2a\x00" + struct.pack("<I", 8) + ifd.tobytes(8) + strip


def _copy_exif(data: bytes, ifd: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    exif = Image.Exif()
    exif.load(data)
    for tag, value in exif.items():
        ifd[tag] = value
    for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if inner := dict(exif.get_ifd(tag)):
            ifd[tag] = inner
