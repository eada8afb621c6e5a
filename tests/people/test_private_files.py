import os
import stat
from pathlib import Path

import pytest

from keepface.errors import KeepfaceError
from keepface.people.private_files import make_private, one_at_a_time, read_bytes, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_files_and_folders_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
        write_private(tmp_path / "a" / "b" / "file", b"x")
    finally:
        os.umask(old)
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path / "a" / "b" / "file") == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(KeepfaceError, match="file: can't be written: No space left"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_read_or_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeepfaceError, match="gone: there is no such file"):
        read_bytes(tmp_path / "gone")
    with pytest.raises(KeepfaceError, match="can't be read"):
        read_bytes(tmp_path)
    with pytest.raises(KeepfaceError, match="can't be made"):
        make_private(tmp_path / "file" / "folder")


def test_a_turn_is_taken_by_one_and_given_back(tmp_path: Path) -> None:
    lock = tmp_path / "turn"
    with one_at_a_time(lock) as first, one_at_a_time(lock, waits=False) as second:
        assert first and not second
    with one_at_a_time(lock, waits=False) as third:
        assert third
