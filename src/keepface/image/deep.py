"""16-bit colour, which Pillow reads and writes in 8 bits only."""

import struct
import zlib

import cv2
import numpy as np
from jaxtyping import UInt16
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # channels -> colour type of the header
PNG_UP = 2  # the row filter: each byte less the one above it
METRE_PER_INCH = 0.0254
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339
COLOUR_MODES = ("RGB", "RGBA", "LA")  # cut to 8 bits by Pillow; grey of 16 bits ("I;16") it reads whole


def is_deep(image: Image.Image, start: bytes) -> bool:
    """Tell whether a picture holds 16-bit colour that Pillow would cut to 8; `start` is the file's first 32 bytes."""
    if image.mode not in COLOUR_MODES:
        return False
    if image.format == "PNG":
        return len(start) > 24 and start[24] == 16
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return 16 in tuple(tags.get(BITS_PER_SAMPLE, ())) and set(tags.get(SAMPLE_FORMAT, (1,))) == {1}


def decode_deep(data: bytes) -> UInt16[np.ndarray, "h w c"] | None:
    """Decode the 16-bit pixels of a PNG or TIFF; `None` for layouts OpenCV can't read.

    Three channels are RGB, four are RGB and alpha. A TIFF comes upright, a PNG as stored.
    """
    if data.startswith(PNG_SIGNATURE) and not _chunks_fit(data):
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        return None
    order = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(pixels, order))


def encode_png16(
    pixels: UInt16[np.ndarray, "h w c"],
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None = None,
) -> bytes:
    """Encode 1, 3 or 4 channels (grey, RGB, RGB and alpha) as a 16-bit PNG. [W3C PNG, 3rd edition]"""
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels.astype(">u2")).view(np.uint8).reshape(height, width * channels * 2)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = PNG_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [PNG_SIGNATURE, _chunk(b"IHDR", header)]
    if icc is not None:
        chunks.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if dpi is not None:
        per_metre = [round(value / METRE_PER_INCH) for value in dpi]
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if xmp is not None:
        chunks.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if exif is not None:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)), _chunk(b"IEND", b"")]
    return b"".join(chunks)


def _chunks_fit(data: bytes) -> bool:
    """Tell whether every PNG chunk ends within the file: OpenCV takes the memory that a chunk's length claims."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + length
    return False


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
