"""IPTC captions and keywords, in the block of Photoshop's resources that JPEG, TIFF and PNG carry them in.

IPTC-NAA, "Information Interchange Model", version 4.2  [IIM]
Adobe, "Photoshop file formats specification", "Image resource blocks"  [Photoshop]
"""

import struct
from collections.abc import Iterable, Iterator

SIGNATURE = b"8BIM"
APP13_HEAD = b"Photoshop 3.0\0"
SEGMENT_BYTES = 65533  # of what a JPEG segment holds behind its length
IPTC, COPYRIGHT_FLAG, URL, IPTC_DIGEST = 0x0404, 0x040A, 0x040B, 0x0425
KEPT = (IPTC, COPYRIGHT_FLAG, URL, IPTC_DIGEST)  # all others tell of the old file: its thumbnail, its resolution
IIM_START = 0x1C  # of every data set


def kept(block: bytes) -> bytes | None:
    """Take the resources that hold whatever the pixels are, byte for byte; `None` where there are none."""
    return b"".join(raw for number, raw, _ in _resources(block) if number in KEPT) or None


def iim(block: bytes) -> bytes | None:
    """Return the captions and keywords by themselves, as a TIFF has them once more."""
    return next((data for number, _, data in _resources(block) if number == IPTC), None)


def without_iim(block: bytes) -> bytes | None:
    """Return what is in a block beside captions and keywords; `None` where nothing is."""
    return b"".join(raw for number, raw, _ in _resources(block) if number != IPTC) or None


def of_iim(data: bytes) -> bytes | None:
    """Put captions and keywords into a block; `None` for what is none."""
    if not data or data[0] != IIM_START:
        return None
    return SIGNATURE + struct.pack(">HHI", IPTC, 0, len(data)) + data + b"\0" * (len(data) % 2)


def from_segments(segments: Iterable[bytes]) -> bytes | None:
    """Join what the APP13 segments of a JPEG hold, and take what is kept."""
    return kept(b"".join(part.removeprefix(APP13_HEAD) for part in segments if part.startswith(APP13_HEAD)))


def segments(block: bytes) -> bytes:
    """Write a block as APP13 segments of a JPEG, as many as it needs."""
    most = SEGMENT_BYTES - len(APP13_HEAD)
    parts = [APP13_HEAD + block[at : at + most] for at in range(0, len(block), most)]
    return b"".join(b"\xff\xed" + struct.pack(">H", len(part) + 2) + part for part in parts)


def _resources(block: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Go through the resources: number, the whole, and the data; what is damaged ends it. [Photoshop]"""
    at = 0
    while block[at : at + 4] == SIGNATURE and at + 12 <= len(block):
        (number,) = struct.unpack(">H", block[at + 4 : at + 6])
        name = (block[at + 6] + 2) // 2 * 2  # with its length, filled up to an even number of bytes
        start = at + 6 + name + 4
        if start > len(block):
            return
        (length,) = struct.unpack(">I", block[start - 4 : start])
        end = start + (length + 1) // 2 * 2
        if start + length > len(block):
            return
        yield number, block[at:end].ljust(end - at, b"\0"), block[start : start + length]
        at = end
