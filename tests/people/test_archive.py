import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from keepface.errors import KeepfaceError, OutputExistsError, PhotoError
from keepface.people.archive import ArchiveLimits, export_person, import_person
from keepface.people.person import Notes
from keepface.people.store import Library, open_library

from .conftest import COST, drawn_file, files, new_photo, nobody_asks

LIMITS = ArchiveLimits()


@pytest.fixture
def exported(library: Library, tmp_path: Path) -> Path:
    anna = library.add("Ännä", [new_photo(1, year=1987), new_photo(2)], Notes("by phone", "2026-01-31", "aunt", 1950))
    library.write_adapter(anna, "pfstorer.safetensors", b"weights")
    export_person(library, anna, tmp_path / "anna.zip")
    return tmp_path / "anna.zip"


@pytest.fixture
def other(tmp_path: Path) -> Library:
    return open_library(tmp_path / "other", nobody_asks).make()


def rewritten(path: Path, changes: dict[str, bytes | None]) -> Path:
    """Write a copy of a zip with files changed, added, or (None) left out."""
    with zipfile.ZipFile(path) as archive:
        content: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    out = path.with_name("changed.zip")
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (content | changes).items():
            if data is not None:
                archive.writestr(name, data)
    return out


def manifest(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return found


def refused(other: Library, path: Path, said: str, limits: ArchiveLimits = LIMITS) -> None:
    with pytest.raises(KeepfaceError, match=said):
        import_person(other, path, nobody_asks, limits=limits)
    assert other.people() == () and files(other.folder / "people") == []


def test_a_person_comes_back_whole(exported: Path, library: Library, other: Library) -> None:
    anna = import_person(other, exported, nobody_asks)
    old = library.find("Ännä")
    assert (anna.name, anna.notes) == (old.name, old.notes)
    assert [(p.name, p.sha256, p.year) for p in anna.photos] == [(p.name, p.sha256, p.year) for p in old.photos]
    assert [other.photo_bytes(anna, photo) for photo in anna.photos] == [drawn_file(1), drawn_file(2)]
    assert other.read_adapter(anna, "pfstorer.safetensors") == b"weights"
    assert {anna.key, *(p.key for p in anna.photos)}.isdisjoint({old.key, *(p.key for p in old.photos)})


def test_the_file_is_for_its_owner_alone_and_replaced_only_by_force(exported: Path, library: Library) -> None:
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    with pytest.raises(OutputExistsError, match="--force"):
        export_person(library, library.find("Ännä"), exported)
    export_person(library, library.find("Ännä"), exported, force=True)


def test_a_linked_photo_goes_along_and_one_that_is_gone_stops_the_export(
    library: Library, other: Library, tmp_path: Path
) -> None:
    path = tmp_path / "drawn.png"
    path.write_bytes(drawn_file(1))
    anna = library.add("anna", [new_photo(1, link=str(path))])
    export_person(library, anna, tmp_path / "anna.zip")
    taken = import_person(other, tmp_path / "anna.zip", nobody_asks)
    assert taken.photos[0].link is None and other.photo_bytes(taken, taken.photos[0]) == drawn_file(1)
    path.unlink()
    with pytest.raises(PhotoError):
        export_person(library, anna, tmp_path / "again.zip")
    assert not (tmp_path / "again.zip").exists() and not list(tmp_path.glob(".*.part"))


def test_nobody_is_written_over(exported: Path, library: Library) -> None:
    with pytest.raises(OutputExistsError, match="--name OTHER"):
        import_person(library, exported, nobody_asks)
    assert import_person(library, exported, nobody_asks, "Berta").name == "Berta"


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/evil", "photos/../../evil", "C:\\evil", "photos/3.png"])
def test_a_file_that_is_not_listed_is_refused_wherever_it_wants_to_go(
    exported: Path, other: Library, tmp_path: Path, name: str
) -> None:
    before = files(tmp_path)
    changed = rewritten(exported, {name: b"evil"})
    refused(other, changed, "does not list")
    assert set(files(tmp_path)) - {other.folder / ".turn"} == {*before, changed}


def test_a_listed_path_is_only_a_name_in_the_zip(exported: Path, other: Library, tmp_path: Path) -> None:
    listed = manifest(exported)
    listed["photos"][0]["file"] = "../../../evil.png"
    listed["photos"][0]["name"] = "../../../evil.png"
    changed = rewritten(
        exported,
        {"manifest.json": json.dumps(listed).encode(), "photos/1.png": None, "../../../evil.png": drawn_file(1)},
    )
    anna = import_person(other, changed, nobody_asks)
    assert other.photo_bytes(anna, anna.photos[0]) == drawn_file(1)
    outside = [path for path in files(tmp_path) if "evil" in path.name]
    assert outside == [] and not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize("name", ["../evil", "a/b", ".evil"])
def test_an_adapter_with_a_path_for_a_name_is_refused(exported: Path, other: Library, name: str) -> None:
    listed = manifest(exported)
    listed["adapters"][0]["name"] = name
    refused(other, rewritten(exported, {"manifest.json": json.dumps(listed).encode()}), "is no name for an adapter")


def test_a_changed_photo_is_seen_by_its_hash(exported: Path, other: Library) -> None:
    refused(other, rewritten(exported, {"photos/1.png": drawn_file(9)}), "'photos/1.png' is not the file that was")


def test_a_missing_photo_is_told(exported: Path, other: Library) -> None:
    refused(other, rewritten(exported, {"photos/1.png": None}), "'photos/1.png' is listed and not there")


def test_a_photo_that_is_no_picture_is_refused(exported: Path, other: Library) -> None:
    listed = manifest(exported)
    listed["photos"][0]["sha256"] = hashlib.sha256(b"hello").hexdigest()
    changed = {"manifest.json": json.dumps(listed).encode(), "photos/1.png": b"hello"}
    refused(other, rewritten(exported, changed), "is no picture")


def test_a_bomb_is_refused_by_its_size_before_and_while_it_is_unpacked(exported: Path, other: Library) -> None:
    refused(other, exported, "the limits are 1000 files and 0 MiB", ArchiveLimits(all_bytes=100))
    refused(other, exported, "the limits are 3 files", ArchiveLimits(files=3))
    refused(other, exported, "holds more than 0 MiB", ArchiveLimits(file_bytes=100))
    refused(other, exported, "holds more than 0 MiB", ArchiveLimits(manifest_bytes=20))


def test_what_is_no_export_is_told(exported: Path, other: Library, tmp_path: Path) -> None:
    text, half, empty = tmp_path / "text.zip", tmp_path / "half.zip", tmp_path / "empty.zip"
    text.write_text("hello")
    half.write_bytes(exported.read_bytes()[: exported.stat().st_size // 2])
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    empty.write_bytes(out.getvalue())
    refused(other, text, "is no zip file, or is damaged")
    refused(other, half, "is no zip file, or is damaged")
    refused(other, empty, "is no person that keepface exported")
    refused(other, tmp_path / "gone.zip", "there is no such file")
    refused(other, rewritten(exported, {"manifest.json": b"[]"}), "is damaged")
    refused(other, rewritten(exported, {"manifest.json": b'{"name": "a", "age": 3}'}), "unknown key 'age'")
    refused(other, rewritten(exported, {"manifest.json": b'{"name": "../a"}', "photos/1.png": None}), "does not list")
    refused(other, rewritten(exported, {"keepface-person.json": b'{"format": 7}'}), "format 7 is not known")


def test_a_sealed_file_shows_nothing_and_opens_with_its_passphrase_into_any_library(
    library: Library, other: Library, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography")
    anna = library.add("anna", [new_photo(1)], Notes(relation="aunt"))
    path = tmp_path / "anna.zip"
    export_person(library, anna, path, "correct horse", cost=COST)
    data = path.read_bytes()
    assert [word for word in (b"anna", b"aunt", b"IHDR", b"drawn") if word in data] == []
    with pytest.raises(KeepfaceError, match="wrong passphrase"):
        import_person(other, path, lambda: "wrong horse")
    taken = import_person(other, path, lambda: "correct horse")
    assert other.photo_bytes(taken, taken.photos[0]) == drawn_file(1) and taken.notes.relation == "aunt"
