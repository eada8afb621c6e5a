"""What a library keeps of a training run: for the owner alone, sealed where there is a lock, gone with the person."""

import os
import stat
from pathlib import Path

import pytest

from keepface.errors import KeepfaceError
from keepface.people.store import Library, open_library

from .conftest import COST, files, new_photo, nobody_asks, reopened

NAME = "pfstorer-1212121212121212"


def test_a_run_is_kept_replaced_and_ended(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    assert not library.has_run(anna, NAME)
    for data in (b"ten steps", b"twenty steps"):
        path = library.write_run(anna, NAME, data)
        assert path.read_bytes() == data and reopened(library).read_run(anna, NAME) == data
    assert library.has_run(anna, NAME) and library.adapters(anna) == ()
    library.end_run(anna, NAME)
    library.end_run(anna, NAME)  # nothing to end is no fault
    assert not library.has_run(anna, NAME)
    with pytest.raises(KeepfaceError, match="there is no such file"):
        library.read_run(anna, NAME)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_run_is_for_the_owner_alone_and_gone_with_the_person(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    with library.only_run(anna):
        path = library.write_run(anna, NAME, b"where it stands")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()} == {0o600}
    library.forget(anna)
    assert [item.name for item in files(library.folder)] == [".turn", "library.json"]
    with pytest.raises(KeepfaceError):  # training that goes on meanwhile brings nothing back
        library.write_run(anna, NAME, b"where it stands")
    assert [item.name for item in files(library.folder)] == [".turn", "library.json"]


def test_a_locked_library_seals_it(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    library = open_library(tmp_path / "library", nobody_asks).make("correct horse", COST)
    anna = library.add("anna", [new_photo(1)])
    path = library.write_run(anna, NAME, b"a picture, nearly")
    assert b"picture" not in path.read_bytes()
    assert reopened(library, lambda: "correct horse").read_run(anna, NAME) == b"a picture, nearly"


def test_a_person_is_trained_by_one_process_at_a_time(library: Library) -> None:
    anna, ben = library.add("anna", [new_photo(1)]), library.add("ben", [new_photo(2)])
    with library.only_run(anna):
        with pytest.raises(KeepfaceError, match="anna is being trained by another process"), library.only_run(anna):
            raise AssertionError("two at once")
        with library.only_run(ben):
            library.write_run(ben, NAME, b"")
    with library.only_run(anna):
        pass
