"""Write files that are for their owner alone, whole or not at all, one process at a time."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from keepface.errors import KeepfaceError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FOLDER_MODE, FILE_MODE = 0o700, 0o600
UNFINISHED = ".part"


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    Raises:
        KeepfaceError: it can't be made.
    """
    try:
        for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
            missing.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise KeepfaceError(f"{folder}: can't be made: {error.strerror or error}; name another folder") from None


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read; it appears whole or not at all, and replaces an older one.

    Raises:
        KeepfaceError: it can't be written; nothing is left behind.
    """
    aside = path.with_name(f".{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise KeepfaceError(f"{path}: can't be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        KeepfaceError: it is missing or can't be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise KeepfaceError(f"{path}: there is no such file") from None
    except OSError as error:
        raise KeepfaceError(f"{path}: can't be read: {error.strerror or error}") from None


@contextlib.contextmanager
def one_at_a_time(path: Path, waits: bool = True) -> Iterator[bool]:
    """Hold the lock file at `path`, whose folder must be there; the value is False when another process holds it.

    Args:
        waits: until the other process is done; otherwise go on at once, without the lock.

    Raises:
        KeepfaceError: the lock file can't be written to.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as error:
        raise KeepfaceError(f"{path}: can't be written: {error.strerror or error}") from None
    try:
        yield _take(handle, waits)
    finally:
        os.close(handle)  # which lets go of the lock


def _take(handle: int, waits: bool) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_LOCK if waits else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
