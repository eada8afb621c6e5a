"""How large a picture may be, told by its header before anything is decoded."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from keepface.errors import TooLargeError

MEGAPIXEL, GB = 1_000_000, 1_000_000_000
MOST_PIXELS = 640_000_000
BYTES_A_PIXEL = 100  # of memory, at the most, while faces of a photo are restored
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # the limit of a Linux container
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "HEIF", "AVIF", "RAW")  # JPEG holds MPO


@dataclass(frozen=True)
class Limits:
    """What a picture may be.

    max_pixels: `None` is 640 million, and no more than this machine's memory is enough for, at 100 bytes a pixel.
    allow_truncated: read a JPEG that is cut short as far as it goes, instead of refusing it.
    """

    max_pixels: int | None = None
    formats: tuple[str, ...] = FORMATS
    allow_truncated: bool = False

    def check(self, width: int, height: int, source: str) -> None:
        """Refuse a picture that is too large; `source` names it.

        Raises:
            TooLargeError: it says what would be small enough.
        """
        most, why = self.max_pixels, ""
        if most is None:
            most = MOST_PIXELS
            memory = memory_bytes()
            if memory is not None and memory // BYTES_A_PIXEL < most:
                most = memory // BYTES_A_PIXEL
                why = f" on this machine, for {memory / GB:.0f} GB of memory"
        if width * height > most:
            raise TooLargeError(
                f"{source}: {width} x {height} is {width * height / MEGAPIXEL:.1f} megapixels; the limit is "
                f"{most / MEGAPIXEL:.4g}{why}: make it smaller, or raise the limit with --max-pixels "
                "(in Python Limits(max_pixels=...))"
            )


def memory_bytes() -> int | None:
    """Return how much memory this machine, or the container it runs in, has; `None` where it does not say."""
    found = [size for size in (_of_machine(), _of_container()) if size]
    return min(found, default=None)


def _of_machine() -> int | None:
    if sys.platform == "win32":
        import ctypes

        status = (ctypes.c_uint64 * 8)()  # MEMORYSTATUSEX: two 32-bit fields, its length first, then seven of 64
        status[0] = ctypes.sizeof(status)
        return int(status[1]) if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _of_container() -> int | None:
    try:
        text = CONTAINER.read_text().strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None
