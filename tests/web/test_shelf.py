"""The private folder: for its owner alone, gone at the end, and what a killed server left is cleared away."""

import os
import stat
from pathlib import Path

import pytest

from keepface.errors import RecipeError
from keepface.listening import is_loopback
from keepface.web.settings import ServeSettings
from keepface.web.shelf import Shelf


def test_it_is_for_the_owner_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "serve")
    tray = shelf.tray()
    (tray / "photo").write_bytes(b"x")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (shelf.folder, tray)} == {0o700}
    assert tray.parent == shelf.folder and shelf.tray() != tray
    shelf.close()
    assert [path.name for path in (tmp_path / "serve").iterdir()] == [".turn"]


def test_a_second_server_leaves_the_first_alone_and_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    first = Shelf(tmp_path)
    (first.tray() / "photo").write_bytes(b"x")
    left = tmp_path / "serve-0123456789abcdef"
    left.mkdir()
    (left / "photo").write_bytes(b"x")
    second = Shelf(tmp_path)
    assert first.folder.exists() and second.folder.exists() and not left.exists()
    first.close()
    second.close()


def test_only_its_own_trays_are_deleted(tmp_path: Path) -> None:
    shelf, other = Shelf(tmp_path / "serve"), tmp_path / "photos"
    other.mkdir()
    shelf.discard(other)
    assert other.exists()
    tray = shelf.tray()
    shelf.discard(tray)
    assert not tray.exists()
    shelf.close()


def test_what_the_page_keeps_goes_when_it_is_old_and_all_of_it_when_asked(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    (shelf.page / "some").mkdir(parents=True)
    old, new = shelf.page / "some" / "old.png", shelf.page / "new.png"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    shelf.clear_page(older_than_s=60.0)
    assert not old.exists() and new.exists()
    shelf.clear_page()
    assert not new.exists()
    shelf.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host) and ServeSettings(host=host).is_local


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.7.5", "::", "attic.local", ""])
def test_elsewhere_a_token_is_needed_and_a_long_one(host: str) -> None:
    with pytest.raises(RecipeError, match="KEEPFACE_TOKEN"):
        ServeSettings(host=host)
    with pytest.raises(RecipeError, match="at least 16"):
        ServeSettings(host=host, token="short")
    assert not ServeSettings(host=host, token="long-enough-for-all").is_local


@pytest.mark.parametrize(("name", "value"), [("queue", 0), ("upload_mib", -1), ("keep_minutes", 0.0), ("port", 70000)])
def test_limits_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{name} is"):
        ServeSettings(**{name: value})
