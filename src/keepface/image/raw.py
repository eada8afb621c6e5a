"""Cameras' raw files: what they are known by, and the picture at its full size, by LibRaw.

Adobe, "Digital Negative (DNG) specification", 1.7; TIFF/EP, ISO 12234-2; LibRaw, https://www.libraw.org
"""

import re

import numpy as np
from jaxtyping import UInt16

from keepface.errors import PhotoError
from keepface.image.exif import Entry, numbers, read_tags
from keepface.image.limits import Limits
from keepface.image.stream import Stream

SUBFILE_TYPE, SUB_IFDS, PHOTOMETRIC, DNG_VERSION = 254, 330, 262, 50706
OF_A_SENSOR = (32803, 34892)  # values of PHOTOMETRIC: a mosaic of colours, and one that was put together
# Canon's CR3 and CR2, Fujifilm's RAF, Panasonic's RW2, Olympus' ORF, Sigma's X3F, Minolta's MRW, Canon's CRW.
STARTS = rb"....ftypcrx |II\*\x00....CR|FUJIFILMCCD-RAW|IIU\x00|IIR[OS]|MMOR|FOVb|\x00MRM|II\x1a\x00\x00\x00HEAPCCDR"
SRGB_CURVE = (2.4, 12.92)


def is_raw(start: bytes, stream: Stream) -> bool:
    """Tell whether a file is a camera's raw file, by its first bytes and the tags of its main directory."""
    if re.match(STARTS, start, re.DOTALL):
        return True
    try:
        found = read_tags(stream, (SUBFILE_TYPE, SUB_IFDS, PHOTOMETRIC, DNG_VERSION))
    except ValueError:
        return False
    order = "<" if start[:2] == b"II" else ">"
    kind, subfile = (_first(order, found.get(tag)) for tag in (PHOTOMETRIC, SUBFILE_TYPE))
    return DNG_VERSION in found or kind in OF_A_SENSOR or (bool(subfile & 1) and SUB_IFDS in found)


def decode_raw(stream: Stream, source: str, limits: Limits) -> UInt16[np.ndarray, "h w 3"]:
    """Develop a raw file as its camera set white, upright, in sRGB; its previews are not looked at.

    Raises:
        PhotoError: rawpy is not installed, or LibRaw can't read the file.
        TooLargeError: more pixels than the limits.
    """
    try:
        import rawpy
    except ImportError:
        raise PhotoError(
            f"{source}: is a camera's raw file; pip install 'keepface[raw]' reads it at full size, "
            "or save it as JPEG or TIFF"
        ) from None
    stream.seek(0)
    try:
        with rawpy.imread(stream) as raw:
            limits.check(raw.sizes.width, raw.sizes.height, source)
            return np.asarray(raw.postprocess(use_camera_wb=True, output_bps=16, gamma=SRGB_CURVE))
    except (rawpy.LibRawError, ValueError) as error:
        raise PhotoError(f"{source}: is a camera's raw file that can't be read: {error}") from None


def _first(order: str, entry: Entry | None) -> int:
    return next(iter(numbers(order, entry)), 0)
