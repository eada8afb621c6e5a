"""The ballot box: one vote a task, for good, unless its voter is forgotten."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keepface.bench.study.votes import BallotBox, Cast, Vote
from keepface.errors import DataError


def test_a_vote_is_counted_once_and_the_first_choice_stands(tmp_path: Path) -> None:
    box = BallotBox(tmp_path)
    voter = box.new_voter()
    assert box.cast(Vote(voter, "task", "left")) is Cast.COUNTED
    assert box.cast(Vote(voter, "task", "left")) is Cast.COUNTED_BEFORE
    assert box.cast(Vote(voter, "task", "right")) is Cast.REFUSED
    assert box.votes() == (Vote(voter, "task", "left"),)
    assert box.answered(voter) == {"task"}


def test_nobody_votes_who_is_no_voter(tmp_path: Path) -> None:
    box = BallotBox(tmp_path)
    assert not box.knows("somebody")
    assert box.cast(Vote("somebody", "task", "left")) is Cast.UNKNOWN_VOTER
    assert box.votes() == ()


def test_votes_at_the_same_moment_are_all_kept_and_none_twice(tmp_path: Path) -> None:
    box = BallotBox(tmp_path)
    voters = [box.new_voter() for _ in range(4)]
    wanted = [Vote(voter, f"task {n}", side) for voter in voters for n in range(10) for side in ("left", "right")]
    with ThreadPoolExecutor(8) as pool:
        casts = list(pool.map(box.cast, wanted))
    assert casts.count(Cast.COUNTED) == casts.count(Cast.REFUSED) == 40
    assert len(box.votes()) == 40


def test_votes_are_written_ahead_and_outlive_the_box(tmp_path: Path) -> None:
    box = BallotBox(tmp_path)
    voter = box.new_voter()
    box.cast(Vote(voter, "task", "left"))
    with sqlite3.connect(tmp_path / "votes.db") as db:
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)
    db.close()
    assert BallotBox(tmp_path).votes() == box.votes()


def test_a_forgotten_voter_leaves_no_byte_behind_and_others_stay(tmp_path: Path) -> None:
    box = BallotBox(tmp_path)
    gone, stays = box.new_voter(), box.new_voter()
    for voter in (gone, stays):
        for number in range(20):
            box.cast(Vote(voter, f"task {number}", "left"))
    assert box.forget(gone) == 20
    assert not box.knows(gone) and {vote.voter for vote in box.votes()} == {stays}
    assert all(gone.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_an_unknown_voter_can_not_be_forgotten(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no voter 'nobody'"):
        BallotBox(tmp_path).forget("nobody")


def test_a_file_that_is_no_ballot_box_is_named(tmp_path: Path) -> None:
    (tmp_path / "votes.db").write_bytes(b"this is no database, but long enough to look like one" * 50)
    with pytest.raises(DataError, match=r"votes.db: can't be used"):
        BallotBox(tmp_path)


def test_the_file_has_no_room_for_names_addresses_or_times(tmp_path: Path) -> None:
    box = BallotBox(tmp_path)
    with sqlite3.connect(box.path) as db:
        columns = {
            table: [row[1] for row in db.execute(f"pragma table_info({table})")] for table in ("voters", "votes")
        }
    db.close()
    assert columns == {"voters": ["voter"], "votes": ["voter", "task", "choice"]}
