"""What was done to each photo of an album, in one SQLite file inside the output folder; needs no network and no torch.

A manifest holds paths, hashes, seeds, states and errors: no features of anybody, and no names of people.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from keepface.errors import KeepfaceError, RecipeError
from keepface.people.private_files import FILE_MODE, make_private, one_at_a_time

FOLDER = ".keepface-batch"  # in the output folder: the manifest, locks, and files on their way
FILE = "manifest.sqlite"
FORMAT = 1
WAIT = 60.0  # seconds that a shard waits for another's entry to be written
PHOTOS = """CREATE TABLE IF NOT EXISTS photos (
    output TEXT PRIMARY KEY, source TEXT NOT NULL, source_sha256 TEXT NOT NULL, options_sha256 TEXT NOT NULL,
    model_sha256 TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, error TEXT, seconds REAL NOT NULL,
    output_sha256 TEXT, version TEXT NOT NULL
)"""

Status = Literal["writing", "done", "failed"]


@dataclass(frozen=True)
class Entry:
    """What is known of one photo.

    `writing` is entered before the finished output takes its name, with its hash: whoever finds such an entry after a
    crash can tell by the hash whether it did.
    """

    output: str  # path below the output folder; no two photos have one
    source: str  # path as it was given; bytes that are no text are written out
    source_sha256: str
    options_sha256: str  # of all that was asked for and whoever led, see album.py
    model_sha256: str  # of family, method, precision and kind of device
    seed: int
    status: Status
    error: str | None = None
    seconds: float = 0.0
    output_sha256: str | None = None
    version: str = ""  # of keepface


@dataclass(frozen=True)
class Shard:
    """One of several disjoint parts of an album, which are the whole together; parts count from 1.

    A photo's part follows from the name of its output alone: on every machine the same, whatever else is there.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise RecipeError(f"shard {self.index}/{self.count}: give I/N with I from 1 to N, such as 1/4")

    @classmethod
    def read(cls, text: str) -> "Shard":
        """Read such as 2/4; a `RecipeError` says how to write it."""
        index, slash, count = text.partition("/")
        if not slash or not index.isdecimal() or not count.isdecimal():
            raise RecipeError(f"shard {text!r}: give I/N with I from 1 to N, such as 1/4")
        return cls(int(index), int(count))

    def holds(self, output: str) -> bool:
        """Tell whether the photo with this output is of this part."""
        digest = hashlib.sha256(os.fsencode(output)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    @property
    def name(self) -> str:
        """Name the part in file names."""
        return f"{self.index}of{self.count}"


class Manifest:
    """The entries of one output folder; every change is on the disk before the call returns."""

    def __init__(self, folder: Path) -> None:
        """Open the manifest of an output folder, or begin one; only its owner may read it.

        Raises:
            KeepfaceError: it can't be written to, is damaged, or was written by a later keepface.
        """
        self.folder = folder / FOLDER
        self.path = self.folder / FILE
        make_private(self.folder)
        with self._told():
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, FILE_MODE))  # its journal gets the same mode
            self._base = sqlite3.connect(self.path, WAIT, isolation_level=None, check_same_thread=False)
            self._begin()

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def key(self, output: Path) -> str:
        """Name an output in the manifest: its path below the folder of outputs."""
        return output.relative_to(self.folder.parent).as_posix()

    def get(self, output: str) -> Entry | None:
        """Return the entry of an output, if there is one."""
        with self._told():
            row = self._base.execute(f"SELECT {_COLUMNS} FROM photos WHERE output = ?", (text(output),)).fetchone()
        return None if row is None else Entry(*row)

    def put(self, entry: Entry) -> None:
        """Enter a photo, in the place of an older entry for the same output."""
        values = [text(value) if isinstance(value, str) else value for value in astuple(entry)]
        marks = ", ".join("?" * len(values))
        with self._told():
            self._base.execute(f"INSERT OR REPLACE INTO photos ({_COLUMNS}) VALUES ({marks})", values)

    def entries(self) -> list[Entry]:
        """Return all entries, by the name of their outputs."""
        with self._told():
            return [Entry(*row) for row in self._base.execute(f"SELECT {_COLUMNS} FROM photos ORDER BY output")]

    def agreed(self, name: str, value: int) -> int:
        """Return the value that was kept under a name, or keep this one; the first who asks decides for all."""
        with self._told():
            self._base.execute("INSERT OR IGNORE INTO agreed (name, value) VALUES (?, ?)", (name, value))
            return int(self._base.execute("SELECT value FROM agreed WHERE name = ?", (name,)).fetchone()[0])

    @contextmanager
    def one_run(self, shard: Shard) -> Iterator[None]:
        """Keep others from working on the same part, and clear away what one that was killed left half-made.

        Raises:
            KeepfaceError: somebody else is at work on it.
        """
        with one_at_a_time(self.folder / f"{shard.name}.lock", waits=False) as is_ours:
            if not is_ours:
                part = f" on shard {shard.index}/{shard.count}" if shard.count > 1 else ""
                raise KeepfaceError(f"{self.folder.parent}: another call is at work here{part}; wait until it is done")
            for path in self.folder.glob(f"{shard.name}-*.part"):
                path.unlink(missing_ok=True)
            yield

    def _begin(self) -> None:
        execute = self._base.execute
        execute(
            "PRAGMA synchronous = FULL"
        )  # with the rollback journal: a killed process, or a lost plug, loses nothing
        found = execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise KeepfaceError(f"{self.path}: was written by a later keepface; use that, or another output folder")
        execute("BEGIN IMMEDIATE")  # two shards may begin at once
        execute(PHOTOS)
        execute("CREATE TABLE IF NOT EXISTS agreed (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
        execute(f"PRAGMA user_version = {FORMAT}")
        execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise KeepfaceError(
                f"{self.path}: can't be used as the album's manifest: {error}; {_way_out(error)}"
            ) from None


def _way_out(error: Exception) -> str:
    """Say what to do: a disk that takes nothing is no fault of the manifest, which holds what was done."""
    code = getattr(error, "sqlite_errorname", "") or ""
    if isinstance(error, OSError) or code.startswith(
        ("SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
    ):
        return "make room or get leave to write there, then call again: what was done stays done"
    return f"choose another output folder, or move {FOLDER} away to begin anew"


def text(value: str) -> str:
    """Write file names whose bytes are no text in letters that SQLite takes."""
    return value.encode("utf-8", "backslashreplace").decode()


_COLUMNS = ", ".join(field.name for field in fields(Entry))
