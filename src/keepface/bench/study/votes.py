"""The ballot box of a study: one row a vote, a voter a random code; no names, no addresses, no times."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from keepface.errors import DataError

BOX_FILE = "votes.db"
CODE_BYTES = 16  # of a voter's code
WAIT_S = 30.0  # for another writer
TABLES = """
create table if not exists voters (voter text primary key) without rowid;
create table if not exists votes (
  voter text not null references voters on delete cascade,
  task text not null,
  choice text not null,
  primary key (voter, task)
) without rowid;
"""


class Cast(Enum):
    """What became of a vote."""

    COUNTED = "counted"
    COUNTED_BEFORE = "counted before"  # the same choice for the same task
    REFUSED = "refused"  # another choice for the same task
    UNKNOWN_VOTER = "unknown voter"


@dataclass(frozen=True)
class Vote:
    """One answer; `choice` is a picture or "tie"."""

    voter: str
    task: str
    choice: str


class BallotBox:
    """The votes of a study's folder, in SQLite; any number of threads and processes may use it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / BOX_FILE
        with self._open() as db:
            db.execute("pragma journal_mode = wal")
            db.executescript(TABLES)

    def new_voter(self) -> str:
        """Add a voter and return their code."""
        voter = secrets.token_urlsafe(CODE_BYTES)
        with self._open() as db:
            db.execute("insert into voters values (?)", (voter,))
        return voter

    def knows(self, voter: str) -> bool:
        """Tell whether a code is a voter's."""
        with self._open() as db:
            return db.execute("select 1 from voters where voter = ?", (voter,)).fetchone() is not None

    def cast(self, vote: Vote) -> Cast:
        """Count a vote once; the first choice for a task stands."""
        row = (vote.voter, vote.task, vote.choice)
        with self._open() as db:
            if db.execute("select 1 from voters where voter = ?", (vote.voter,)).fetchone() is None:
                return Cast.UNKNOWN_VOTER
            if db.execute("insert into votes values (?, ?, ?) on conflict do nothing", row).rowcount == 1:
                return Cast.COUNTED
            (choice,) = db.execute("select choice from votes where voter = ? and task = ?", row[:2]).fetchone()
            return Cast.COUNTED_BEFORE if choice == vote.choice else Cast.REFUSED

    def answered(self, voter: str) -> frozenset[str]:
        """Return the tasks that a voter has answered."""
        with self._open() as db:
            return frozenset(task for (task,) in db.execute("select task from votes where voter = ?", (voter,)))

    def votes(self) -> tuple[Vote, ...]:
        """Return every vote."""
        with self._open() as db:
            return tuple(Vote(*row) for row in db.execute("select voter, task, choice from votes order by voter, task"))

    def forget(self, voter: str) -> int:
        """Remove a voter and all their votes from the file's bytes; return how many votes there were.

        Raises:
            DataError: there is no such voter.
        """
        with self._open() as db:
            (count,) = db.execute("select count(*) from votes where voter = ?", (voter,)).fetchone()
            if db.execute("delete from voters where voter = ?", (voter,)).rowcount == 0:
                raise DataError(
                    f"{self.path}: there is no voter {voter!r}; a voter finds the code at the foot of the page"
                )
        with self._open() as db:
            db.execute("pragma wal_checkpoint(truncate)")
        return int(count)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as db, db:
                db.execute("pragma foreign_keys = on")
                db.execute("pragma secure_delete = on")
                yield db
        except sqlite3.Error as error:
            raise DataError(f"{self.path}: can't be used as the votes of a study: {error}") from None
