"""What is asked of an open file here."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Stream(Protocol):
    """Bytes that may be read in any order."""

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes, or all that are left."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place, and return it."""
        ...

    def tell(self) -> int:
        """Return the place."""
        ...
