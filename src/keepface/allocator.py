"""Keep freed memory for the next batch, where the C library can be asked to."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h> of glibc
MOST = 2**31 - 1  # bytes; the largest int


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed, instead of giving it back to the system page by page; tell whether it does.

    Networks ask for the same megabytes layer after layer, and each page that is new again costs a fault. It holds for
    the whole process, whose memory stays at its highest: for albums, training and benches. Pictures don't depend on it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all([libc.mallopt(option, MOST) for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)])
