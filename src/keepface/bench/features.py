"""Vectors of restored pictures, kept beside the journal, so that metrics of whole rows survive a stop too.

A file holds records of one length, each the first 16 bytes of its key's SHA-256 and float32 numbers. Vectors are
written before the journal's line, so what the journal has, the file has; of a key written twice the last one counts.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

KEY_BYTES = 16
Key = tuple[str, ...]


class Vectors:
    """One file of vectors of `dim` numbers."""

    def __init__(self, path: Path, dim: int) -> None:
        self.path, self._type = path, np.dtype([("key", f"V{KEY_BYTES}"), ("vector", "<f4", (dim,))])

    def append(self, key: Key, vector: Float[np.ndarray, "d"]) -> None:
        """Add a vector at the end; a record cut short by a stop is overwritten."""
        record = np.zeros(1, self._type)
        record["key"], record["vector"] = np.void(_digest(key)), vector
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            whole = file.seek(0, os.SEEK_END) // self._type.itemsize * self._type.itemsize
            file.seek(whole)
            file.truncate()
            file.write(record.tobytes())

    def read(self, keys: Sequence[Key]) -> dict[Key, Float[np.ndarray, "d"]]:
        """Return the vectors that are there of the keys asked for."""
        if not self.path.exists():
            return {}
        data = self.path.read_bytes()
        records = np.frombuffer(data, self._type, len(data) // self._type.itemsize)
        places = {key.tobytes(): place for place, key in enumerate(records["key"])}
        digests = {key: _digest(key) for key in keys}
        return {key: records["vector"][places[digest]] for key, digest in digests.items() if digest in places}


def _digest(key: Key) -> bytes:
    return hashlib.sha256("\x1f".join(key).encode()).digest()[:KEY_BYTES]
