import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepface.engine.manifest import FILE, FOLDER, Entry, Manifest, Shard
from keepface.errors import KeepfaceError, RecipeError

ENTRY = Entry("a.jpg", "in/a.jpg", "5a", "09", "3d", 7, "done", None, 1.5, "0f", "0.1.0")


def test_what_is_entered_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    first = Manifest(tmp_path)
    first.put(ENTRY)
    first.put(Entry("b.jpg", "in/b.jpg", "6b", "09", "3d", 7, "failed", "b.jpg: is empty (0 bytes)"))
    again = Manifest(tmp_path)  # while the first still has it open
    assert again.get("a.jpg") == ENTRY and again.get("c.jpg") is None
    assert [entry.status for entry in again.entries()] == ["done", "failed"]
    again.close()
    first.close()


def test_an_output_has_one_entry_the_newest(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.put(Entry("a.jpg", "in/a.jpg", "5a", "09", "3d", 7, "writing", output_sha256="0f"))
    manifest.put(ENTRY)
    assert manifest.entries() == [ENTRY]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    Manifest(tmp_path).put(ENTRY)
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700
    for path in (tmp_path / FOLDER).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_whose_bytes_are_no_text_are_kept_apart(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    odd = b"g\xe9n.jpg".decode("utf-8", "surrogateescape")
    manifest.put(Entry(odd, odd, "5a", "09", "3d", 7, "done"))
    manifest.put(Entry("g?n.jpg", "x", "5a", "09", "3d", 7, "failed"))
    found = manifest.get(odd)
    assert found is not None and found.status == "done" and found.source == "g\\udce9n.jpg"


def test_the_first_who_asks_decides(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    assert manifest.agreed("batch", 8) == 8
    assert Manifest(tmp_path).agreed("batch", 2) == 8


def test_one_part_is_worked_on_by_one_alone(tmp_path: Path) -> None:
    first, second = Manifest(tmp_path), Manifest(tmp_path)
    with first.one_run(Shard(1, 2)):
        with (
            pytest.raises(KeepfaceError, match="another call is at work here on shard 1/2"),
            second.one_run(Shard(1, 2)),
        ):
            pass
        with second.one_run(Shard(2, 2)):
            pass
    with second.one_run(Shard(1, 2)):
        pass


def test_what_a_killed_run_left_half_made_is_cleared_away_but_not_that_of_other_parts(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    own, other = manifest.folder / "1of2-aa.part", manifest.folder / "2of2-bb.part"
    own.touch()
    other.touch()
    with manifest.one_run(Shard(1, 2)):
        assert not own.exists() and other.exists()


def test_what_is_no_manifest_is_left_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    path = tmp_path / FOLDER / FILE
    path.write_bytes(b"something else " * 100)
    with pytest.raises(KeepfaceError, match="can't be used as the album's manifest"):
        Manifest(tmp_path)
    assert path.read_bytes() == b"something else " * 100


def test_the_manifest_of_a_later_keepface_is_refused(tmp_path: Path) -> None:
    Manifest(tmp_path).close()
    base = sqlite3.connect(tmp_path / FOLDER / FILE)
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(KeepfaceError, match="later keepface"):
        Manifest(tmp_path)


@given(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=30), st.integers(1, 9))
def test_shards_are_disjoint_and_complete(names: list[str], count: int) -> None:
    names = [name for name in names if not any(0xD800 <= ord(letter) < 0xE000 for letter in name)]
    parts = [[name for name in names if Shard(index, count).holds(name)] for index in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(names)


def test_a_photo_stays_in_its_shard_whatever_else_is_there() -> None:
    # The first 8 bytes of SHA-256("abc") are ba7816bf8f01cfea, by FIPS 180-2.
    assert [index for index in range(1, 8) if Shard(index, 7).holds("abc")] == [0xBA7816BF8F01CFEA % 7 + 1]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_a_shard_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="such as 1/4"):
        Shard.read(text)


def test_a_shard_is_read_as_it_is_written() -> None:
    assert Shard.read("2/4") == Shard(2, 4)
