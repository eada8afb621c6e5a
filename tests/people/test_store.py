import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from keepface.errors import KeepfaceError, PhotoError
from keepface.image.files import read_photo
from keepface.people.features import Networks, to_bytes
from keepface.people.person import Notes, ReferencePhoto, new_key, today
from keepface.people.store import Library, NewPhoto, default_folder, open_library

from .conftest import COST, EXAMPLES, PNG, drawn_file, files, made_up_features, new_photo, nobody_asks, reopened

needs_posix = pytest.mark.skipif(os.name != "posix", reason="modes and forks are those of POSIX")


def example(number: int, link: bool = False) -> NewPhoto:
    path = EXAMPLES / f"reference-{number}.jpg"
    data = path.read_bytes()
    record = ReferencePhoto(
        new_key(), hashlib.sha256(data).hexdigest(), path.name, today(), link=str(path) if link else None
    )
    return NewPhoto(record, None if link else data)


def test_what_was_added_is_there_when_the_library_is_opened_again(library: Library) -> None:
    photos = [new_photo(1, year=1987), new_photo(2)]
    added = library.add("Ännä", photos, Notes("by phone", "2026-01-31", "aunt", 1950))
    again = reopened(library)
    assert again.people() == (added,) and again.find("ÄNNÄ") == added
    assert [again.photo_bytes(added, photo) for photo in added.photos] == [drawn_file(1), drawn_file(2)]
    kept = again.features(added, added.photos[0])
    assert kept is not None and torch.equal(kept.features.recogniser, made_up_features(1).features.recogniser)


def test_photos_and_notes_add_up_and_a_photo_is_kept_once(library: Library) -> None:
    library.add("anna", [new_photo(1)], Notes(relation="aunt"))
    library.add("anna", [new_photo(1), new_photo(2)], Notes(birth_year=1950))
    anna = library.find("anna")
    assert [photo.name for photo in anna.photos] == ["drawn-1.png", "drawn-2.png"]
    assert anna.notes == Notes(relation="aunt", birth_year=1950)


@needs_posix
def test_all_is_for_the_owner_alone(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    library.write_adapter(anna, "pfstorer.safetensors", b"weights")
    paths = [library.folder, *library.folder.rglob("*")]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()}
    assert modes == {0o600} and folders == {0o700}


def test_nothing_on_the_disk_is_named_for_the_person_or_the_photo(library: Library) -> None:
    library.add("anna", [new_photo(1)])
    names = " ".join(str(path.relative_to(library.folder)) for path in files(library.folder))
    assert "anna" not in names and "drawn" not in names


def test_opening_a_library_that_is_not_there_writes_nothing(tmp_path: Path) -> None:
    library = open_library(tmp_path / "none", nobody_asks)
    assert library.people() == () and library.is_new and not library.folder.exists()
    with pytest.raises(KeepfaceError, match="holds no library yet"):
        library.add("anna", [new_photo(1)])


def test_a_folder_of_other_things_is_never_made_a_library(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(KeepfaceError, match="is no library of people, and not empty"):
        open_library(tmp_path, nobody_asks)


def test_an_unknown_person_is_told_with_those_there_are(library: Library) -> None:
    library.add("anna", [new_photo(1)])
    with pytest.raises(KeepfaceError, match="nobody .* is called 'ben'; it holds anna"):
        library.find("ben")


def test_somebody_new_needs_a_photo(library: Library) -> None:
    with pytest.raises(KeepfaceError, match="anna has no photos yet"):
        library.add("anna", [], Notes(relation="aunt"))
    assert library.people() == ()


def test_the_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPFACE_LIBRARY", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
    monkeypatch.delenv("KEEPFACE_LIBRARY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder().name == "library" and "keepface" in default_folder().parts


# photos and features


def test_a_copy_outlives_its_original_and_a_link_does_not(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "drawn.png"
    path.write_bytes(drawn_file(2))
    anna = library.add("anna", [new_photo(1), new_photo(2, link=str(path))])
    assert library.photo_bytes(anna, anna.photos[1]) == drawn_file(2)
    path.write_bytes(drawn_file(3))
    with pytest.raises(PhotoError, match="is not the picture that was added"):
        library.photo_bytes(anna, anna.photos[1])
    path.unlink()
    with pytest.raises(PhotoError, match="there is no such file"):
        library.photo_bytes(anna, anna.photos[1])
    assert library.photo_bytes(anna, anna.photos[0]) == drawn_file(1)


def test_features_are_made_once_and_made_again_for_other_networks(library: Library, networks: Networks) -> None:
    anna = library.add("anna", [example(1), example(2)])
    photo = anna.photos[0]
    assert library.features(anna, photo) is None
    first = library.known(anna, networks)
    assert [record for record, _ in first.photos] == list(anna.photos) and first.problems == ()
    stale = dataclasses.replace(made_up_features(1), judge="an older judge")
    path = library.folder / "people" / anna.key / "features" / photo.key
    path.write_bytes(to_bytes(stale))
    again = library.known(anna, networks)
    made = networks.embed(read_photo(EXAMPLES / "reference-1.jpg"))
    assert torch.equal(again.photos[0][1].features.recogniser, made.features.recogniser)
    kept = library.features(anna, photo)
    assert kept is not None and networks.made(kept)


def test_good_features_are_not_made_again(library: Library, networks: Networks) -> None:
    made = networks.embed(read_photo(EXAMPLES / "reference-1.jpg"))
    anna = library.add("anna", [NewPhoto(new_photo(1, link="gone.png").record, None, made)])
    known = library.known(anna, networks)  # there is no photo that could be read
    assert len(known.photos) == 1 and known.problems == ()


def test_a_photo_that_gives_no_features_is_a_problem_with_its_reason(library: Library, networks: Networks) -> None:
    plain = dataclasses.replace(new_photo(1), features=None)
    anna = library.add("anna", [plain, dataclasses.replace(new_photo(2, link="gone.png"), features=None), example(1)])
    known = library.known(anna, networks)
    assert len(known.photos) == 1
    (first, no_face), (second, gone) = known.problems
    assert first.name == "drawn-1.png" and no_face.startswith("no face was found")
    assert second.name == "drawn-2.png" and "there is no such file" in gone


# adapters


def test_adapters_are_kept_listed_replaced_and_forgotten_with_the_person(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    assert library.adapters(anna) == ()
    for data in (b"first", b"second"):
        library.write_adapter(anna, "pfstorer.safetensors", data)
    assert library.adapters(anna) == ("pfstorer.safetensors",)
    assert library.read_adapter(anna, "pfstorer.safetensors") == b"second"
    assert library.forget(anna).adapters == 1
    with pytest.raises(KeepfaceError):
        library.write_adapter(anna, "pfstorer.safetensors", b"late")  # a training that ends after the person left
    assert files(library.folder / "people") == []


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "a b", "x" * 101])
def test_an_adapter_has_a_plain_name(library: Library, name: str) -> None:
    anna = library.add("anna", [new_photo(1)])
    with pytest.raises(KeepfaceError, match="is no name for an adapter"):
        library.write_adapter(anna, name, b"x")


# stops


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies, with no chance to clean up, before its `step`-th change of the disk."""
    child = os.fork()
    if child == 0:
        count = 0
        for name in ("replace", "open", "mkdir", "unlink", "rmdir", "fsync"):
            plain = getattr(os, name)

            def counted(*words: object, plain: Callable[..., object] = plain, **named: object) -> object:
                nonlocal count
                count += 1
                if count > step:
                    os._exit(9)
                return plain(*words, **named)

            setattr(os, name, counted)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


def state(library: Library) -> dict[str, list[bytes]]:
    """Read all that counts; what is half there would raise."""
    return {person.name: [library.photo_bytes(person, photo) for photo in person.photos] for person in library.people()}


@needs_posix
def test_adding_that_is_killed_anywhere_leaves_the_old_or_the_new(library: Library) -> None:
    library.add("anna", [new_photo(1)])
    old, new = {"anna": [drawn_file(1)]}, {"anna": [drawn_file(1), drawn_file(2)]}
    seen, step = [], 0
    while killed_at(step, lambda: library.add("anna", [new_photo(2)])):
        again = reopened(library)
        seen.append(state(again))
        assert seen[-1] in (old, new)
        if seen[-1] == new:
            break
        assert drawn_file(2) not in {path.read_bytes() for path in files(library.folder)}, "leftovers are swept"
        step += 1
    assert step > 5 and seen[0] == old
    assert state(reopened(library)) in (old, new)


@needs_posix
def test_making_somebody_that_is_killed_leaves_nobody_or_the_whole_person(library: Library) -> None:
    step = 0
    while killed_at(step, lambda: library.add("anna", [new_photo(1)])):
        again = reopened(library)
        if again.people():
            break
        assert files(library.folder / "people") == []
        step += 1
    assert step > 5 and state(reopened(library)) == {"anna": [drawn_file(1)]}


@needs_posix
def test_a_library_whose_making_is_killed_can_be_made_again(tmp_path: Path) -> None:
    step = 0
    while killed_at(step, lambda step=step: open_library(tmp_path / str(step), nobody_asks).make()):  # type: ignore[misc]
        library = open_library(tmp_path / str(step), nobody_asks).make()
        assert library.add("anna", [new_photo(1)]).name == "anna"
        step += 1
    assert step > 3


@needs_posix
def test_forgetting_that_is_killed_is_finished_by_the_next_call(library: Library) -> None:
    step = 0
    while True:
        anna = library.add("anna", [new_photo(1), new_photo(2)])
        killed = killed_at(step, lambda anna=anna: library.forget(anna))  # type: ignore[misc]
        again = reopened(library)
        if again.people():
            assert state(again) == {"anna": [drawn_file(1), drawn_file(2)]}
        else:
            assert files(library.folder / "people") == [] and list((library.folder / "people").iterdir()) == []
        if not killed:
            break
        step += 1
    assert step > 3 and not reopened(library).people()


def test_sweeping_touches_nothing_that_is_not_the_librarys(library: Library) -> None:
    library.add("anna", [new_photo(1)])
    others = [library.folder / "people" / "my copies" / "a.jpg", library.folder / "notes.txt"]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    library.add("ben", [new_photo(2)])
    reopened(library).forget(library.find("anna"))
    assert [path.read_bytes() for path in others] == [b"mine", b"mine"]


# damage and locks


def test_a_damaged_record_is_named(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    record = library.folder / "people" / anna.key / "person.json"
    data = json.loads(record.read_bytes())
    for text in (
        "{",
        json.dumps({**data, "age": 7}),
        json.dumps({**data, "format": 2}),
        json.dumps({**data, "key": "x"}),
    ):
        record.write_text(text)
        with pytest.raises(KeepfaceError, match=r"person\.json"):
            reopened(library).people()


def test_a_library_of_a_later_format_is_left_alone(library: Library) -> None:
    (library.folder / "library.json").write_text('{"format": 9}')
    with pytest.raises(KeepfaceError, match="format 9 is not known"):
        reopened(library)


def test_a_locked_library_shows_nothing_without_its_passphrase(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    library = open_library(tmp_path / "library", nobody_asks).make("correct horse", COST)
    anna = library.add("anna", [new_photo(1)], Notes(relation="aunt"))
    library.write_adapter(anna, "pfstorer.safetensors", b"many weights of anna")
    bytes_on_disk = b"".join(path.read_bytes() for path in files(library.folder))
    assert all(part in drawn_file(1) for part in PNG)
    secrets = [b"anna", b"aunt", *PNG, b"safetensors", b"recogniser", anna.photos[0].sha256.encode()]
    assert [secret for secret in secrets if secret in bytes_on_disk] == []
    again = reopened(library, lambda: "correct horse")
    assert again.is_locked and again.people() == (anna,)
    assert again.photo_bytes(anna, anna.photos[0]) == drawn_file(1)
    assert again.features(anna, anna.photos[0]) is not None
    assert again.read_adapter(anna, "pfstorer.safetensors") == b"many weights of anna"
    with pytest.raises(KeepfaceError, match="wrong passphrase"):
        reopened(library, lambda: "wrong horse")
