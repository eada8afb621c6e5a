"""TIFF out: Pillow writes 8 bits only, and fails where EXIF goes with compression."""

import zlib
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8, UInt16

from keepface.image import exif as directories
from keepface.image import iptc
from keepface.image.exif import LONG, RATIONAL, SHORT, Entry, Exif

IN_ORDER, BLACK_IS_ZERO, RGB, DEFLATE, PLAIN_ALPHA, PER_INCH = 1, 1, 2, 8, 2, 2
BYTE, UNDEFINED = 1, 7
IPTC, PHOTOSHOP, ICC, XMP = 33723, 34377, 34675, 700


def encode_tiff(
    pixels: UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"],
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None = None,
    resources: bytes | None = None,
) -> bytes:
    """Encode 1 to 4 channels (grey or RGB, then alpha) as one deflated strip. [TIFF 6.0; Adobe TIFF Technical Notes]

    The file has the byte order of its EXIF, which is copied as it stands.
    """
    height, width, channels = pixels.shape
    found = (None if exif is None else directories.from_bytes(exif)) or Exif()
    order, bits = found.order, pixels.dtype.itemsize * 8
    strip = zlib.compress(pixels.astype(f"{order}u{pixels.dtype.itemsize}").tobytes(), 6)
    main = dict(found.main)
    for tag, kind, values in (
        (256, LONG, (width,)),
        (257, LONG, (height,)),
        (258, SHORT, (bits,) * channels),
        (259, SHORT, (DEFLATE,)),
        (262, SHORT, (BLACK_IS_ZERO if channels < 3 else RGB,)),
        (273, LONG, (0,)),  # replaced below
        (277, SHORT, (channels,)),
        (278, LONG, (height,)),
        (279, LONG, (len(strip),)),
        (284, SHORT, (IN_ORDER,)),
        *([(338, SHORT, (PLAIN_ALPHA,))] if channels in (2, 4) else []),
        *([(282, RATIONAL, _ratio(dpi[0])), (283, RATIONAL, _ratio(dpi[1])), (296, SHORT, (PER_INCH,))] if dpi else []),
    ):
        main[tag] = directories.of_numbers(order, kind, *values)
    captions, others = (None, None) if resources is None else (iptc.iim(resources), iptc.without_iim(resources))
    blocks = ((ICC, UNDEFINED, icc), (XMP, BYTE, xmp), (PHOTOSHOP, BYTE, others), (IPTC, UNDEFINED, captions))
    main |= {tag: Entry(kind, len(data), data) for tag, kind, data in blocks if data is not None}
    head = directories.mark(order)
    start = len(head) + len(directories.directories(order, main, found.below))
    main[273] = directories.of_numbers(order, LONG, start)
    return head + directories.directories(order, main, found.below) + strip


def _ratio(value: float) -> tuple[int, int]:
    whole = Fraction(value).limit_denominator(10_000)
    return min(whole.numerator, 2**32 - 1), whole.denominator
