"""keepface person, on the example photos with the real detector and recognisers."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from keepface.identity.embed import FeatureCache, IdentityEmbedder
from keepface.image.files import read_photo
from keepface.people.features import Networks, to_bytes
from keepface.people.store import open_library

from ..engine.plain_restorer import ANNA, BEN, PlainRestorer, album, landscape, person

Keepface = Callable[..., Result]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ONE, TWO = EXAMPLES / "reference-1.jpg", EXAMPLES / "reference-2.jpg"
NAME = "Ännä Müller"
PIECE = 48  # bytes of a photo that are no accident
pytestmark = pytest.mark.usefixtures("folders")


def test_a_person_is_added_listed_and_shown(keepface: Keepface) -> None:
    words = ("--relation", "aunt", "--birth-year", 1950, "--consent", "by phone", "--year", 1987)
    result = keepface("person", "add", NAME, ONE, TWO, *words)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{NAME}: 2 photos added, 2 in all\n"
    (row,) = [line for line in keepface("person", "list").stdout.splitlines() if NAME in line]
    assert row.split()[2:5] == ["2", "1987", "aunt"]
    shown = json.loads(keepface("person", "show", NAME.upper(), "--json").stdout)
    assert shown["name"] == NAME and shown["notes"]["birth_year"] == 1950 and shown["notes"]["consent"] == "by phone"
    assert [photo["name"] for photo in shown["photos"]] == [ONE.name, TWO.name]
    assert all(photo["has_features"] and photo["year"] == 1987 for photo in shown["photos"])
    assert "birth year: 1950" in keepface("person", "show", NAME).stdout


def test_json_tells_added_duplicates_and_left_out_and_nothing_of_the_features(
    keepface: Keepface, tmp_path: Path
) -> None:
    hill = landscape(tmp_path / "hill.png")
    result = keepface("person", "add", "anna", ONE, ONE, hill, "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1 and told["added"] == [ONE.name]
    assert told["duplicates"] == [{"source": str(ONE), "reason": f"is the same file as {ONE.name}"}]
    assert [item["source"] for item in told["left_out"]] == [str(hill)]
    assert f"{hill} left out: no face was found" in result.stderr
    listed = json.loads(keepface("person", "list", "--json").stdout)
    assert listed["locked"] is False and [item["name"] for item in listed["people"]] == ["anna"]
    assert set(listed["people"][0]) == {"name", "created", "notes", "photos", "adapters"}


def test_nobody_is_added_without_a_photo_that_can_be_used(keepface: Keepface, folders: Path, tmp_path: Path) -> None:
    result = keepface("person", "add", "anna", landscape(tmp_path / "hill.png"))
    assert result.exit_code == 1 and "anna was not added: no photo can be used" in result.stdout
    assert keepface("person", "add", "anna").exit_code == 1
    assert not (folders / "library").exists()


def test_photos_of_a_folder_are_added_and_notes_without_photos(keepface: Keepface, tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    folder.mkdir()
    for path in (ONE, TWO):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "notes.txt").write_text("no photo")
    assert "2 photos added" in keepface("person", "add", "anna", folder).stdout
    assert keepface("person", "add", "anna", "--relation", "aunt").exit_code == 0
    assert json.loads(keepface("person", "show", "anna", "--json").stdout)["notes"]["relation"] == "aunt"


def test_the_check_names_what_is_wrong_and_what_to_add(keepface: Keepface, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    image = Image.open(ONE)
    image.thumbnail((400, 400))
    image.save(small)
    keepface("person", "add", "anna", ONE, TWO, small)
    result = keepface("person", "check", "anna")
    assert result.exit_code == 0
    assert f"is nearly the same picture as {ONE.name}" in result.stdout
    assert "next: only 2 photos are fit to be used: add 1 more" in result.stdout
    assert "not checked: what hides a part of the face" in result.stdout
    told = json.loads(keepface("person", "check", "anna", "--json").stdout)
    assert told["well"] is False and len(told["photos"]) == 3 and told["not_checked"]
    assert all(0.5 < photo["likeness"] <= 1 for photo in told["photos"])


def test_somebody_unknown_is_an_error_of_one_line(keepface: Keepface) -> None:
    keepface("person", "add", "anna", ONE)
    for words in (("show",), ("check",), ("forget", "--yes"), ("export", "-o", "x.zip")):
        result = keepface("person", words[0], "ben", *words[1:])
        assert result.exit_code == 1 and result.stdout == ""
        assert result.stderr.startswith("error: nobody in the library") and "it holds anna" in result.stderr


# forgetting


def traces(folder: Path, needles: dict[str, bytes]) -> list[str]:
    """Search the names and bytes of all files below a folder."""
    found = []
    for path in [item for item in folder.rglob("*")]:
        data = os.fsencode(path.name) + (path.read_bytes() if path.is_file() else b"")
        found += [f"{name} in {path.relative_to(folder)}" for name, needle in needles.items() if needle in data]
    return found


def needles_of(networks: PlainRestorer) -> dict[str, bytes]:
    """Collect what would give a person away: pieces of the photos and features, names, hashes."""
    needles = {"name": NAME.encode(), "escaped name": json.dumps(NAME)[1:-1].encode(), "relation": b"great-aunt"}
    for path in (ONE, TWO):
        data, photo = path.read_bytes(), read_photo(path)
        starts = np.linspace(600, len(data) - PIECE, 8).astype(int)
        needles |= {f"bytes of {path.name} at {start}": data[start : start + PIECE] for start in starts}
        made = Networks(networks.embedder, networks.judge).embed(photo)
        vectors = {"recogniser": made.features.recogniser, "image": made.features.image, "judged": made.judged}
        needles |= {f"{name} of {path.name}": vector.numpy().tobytes()[:PIECE] for name, vector in vectors.items()}
        needles |= {f"file name {path.name}": path.name.encode()}
        assert all(vector.numpy().tobytes()[:PIECE] in to_bytes(made) for vector in vectors.values())
    return needles


def test_forgetting_leaves_no_trace_in_library_cache_and_temporary_files(
    keepface: Keepface, folders: Path, networks: PlainRestorer, tmp_path: Path
) -> None:
    keepface("person", "add", NAME, ONE, TWO, "--relation", "great-aunt")
    library = open_library(folders / "library", lambda: "")
    anna = library.find(NAME)
    library.write_adapter(
        anna, "pfstorer.safetensors", networks.embedder.embed(read_photo(ONE)).image.numpy().tobytes()
    )
    cache = FeatureCache(folders / "cache" / "keepface" / "features")
    plain = networks.embedder
    IdentityEmbedder(plain.detector, plain.recogniser, plain.encoder, cache).embed(read_photo(ONE))
    keepface("person", "check", NAME)
    keepface("person", "export", NAME, "-o", tmp_path / "anna.zip")
    needles = needles_of(networks)
    before = traces(folders, needles)
    assert {line.split(" in ")[0] for line in before} >= {*needles} - {"name"}, "the search finds what is there"
    assert any(line.split(" in ")[1].startswith("cache") for line in before)
    result = keepface("person", "forget", NAME, "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"name": NAME, "photos": 2, "links": [], "adapters": 1, "cached": 1}
    assert traces(folders, needles | {"key": anna.key.encode()}) == []
    assert sorted(path.name for path in folders.rglob("*") if path.is_file()) == [".turn", "library.json"]


def test_forgetting_asks_and_a_no_keeps_the_person(keepface: Keepface) -> None:
    keepface("person", "add", "anna", ONE)
    result = keepface("person", "forget", "anna")  # there is nobody to answer
    assert result.exit_code == 1 and "Delete anna with 1 photos for ever?" in result.output
    assert "anna" in keepface("person", "list").stdout


def test_a_linked_photo_is_left_where_it_is(keepface: Keepface, folders: Path, tmp_path: Path) -> None:
    photo = tmp_path / "mine.jpg"
    photo.write_bytes(ONE.read_bytes())
    keepface("person", "add", "anna", photo, "--link")
    assert not list(folders.rglob("photos"))
    result = keepface("person", "forget", "anna", "--yes")
    assert f"{photo}: was linked, left where it is" in result.stdout and photo.exists()


# export, import, locks


def test_a_person_moves_to_another_library_in_one_file(keepface: Keepface, tmp_path: Path) -> None:
    keepface("person", "add", "anna", ONE, TWO, "--relation", "aunt")
    out, other = tmp_path / "anna.zip", tmp_path / "other"
    assert "whoever has the file has the photos" in keepface("person", "export", "anna", "-o", out).stdout
    assert keepface("person", "import", out).exit_code == 1
    result = keepface("person", "import", out, "--library", other, "--json")
    taken = json.loads(result.stdout)
    assert taken["name"] == "anna" and not any(photo["has_features"] for photo in taken["photos"])
    assert keepface("person", "check", "anna", "--library", other).exit_code == 0
    again = json.loads(keepface("person", "show", "anna", "--library", other, "--json").stdout)
    assert all(photo["has_features"] for photo in again["photos"])


def test_a_locked_library_asks_for_its_passphrase_and_seals_what_leaves_it(
    keepface: Keepface, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    result = keepface("person", "add", "anna", ONE, "--lock")
    assert result.exit_code == 1 and "set KEEPFACE_PASSPHRASE" in result.stderr
    monkeypatch.setenv("KEEPFACE_PASSPHRASE", "correct horse")
    assert keepface("person", "add", "anna", ONE, "--lock").exit_code == 0
    assert json.loads(keepface("person", "list", "--json").stdout)["locked"] is True
    sealed, plain = tmp_path / "sealed.zip", tmp_path / "plain.zip"
    keepface("person", "export", "anna", "-o", sealed)
    keepface("person", "export", "anna", "-o", plain, "--plain")
    piece = ONE.read_bytes()[1000 : 1000 + PIECE]
    assert piece not in sealed.read_bytes() and piece in plain.read_bytes()
    assert traces(folders, {"photo": piece, "name": b"anna", "file": ONE.name.encode()}) == []
    monkeypatch.setenv("KEEPFACE_PASSPHRASE", "wrong horse")
    result = keepface("person", "list")
    assert result.exit_code == 1 and "wrong passphrase" in result.stderr
    assert "wrong passphrase" in keepface("person", "import", sealed, "--library", tmp_path / "other").stderr


# restoring


@pytest.mark.shared
def test_a_photo_is_restored_led_by_the_library_and_by_further_references(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    keepface("person", "add", "anna", *person(ANNA, 2))
    old = album("photos/00.jpg")
    result = keepface("restore", old, "--person", "anna", "-o", tmp_path / "1.png", "--keep-worse")
    assert result.exit_code == 0 and "likeness to the references" in result.stdout, result.output
    third, stranger = person(ANNA, 3)[2], person(BEN, 1)[0]
    keepface("restore", old, "--person", "anna", "--ref", third, "-o", tmp_path / "2.png")
    last = keepface("restore", old, "--person", "anna", "--ref", stranger, "-o", tmp_path / "3.png")
    assert [call["references"] for call in restorer.calls] == [[2], [3], [2]]
    assert f"reference {stranger} left out: shows another person" in last.stderr
    row = json.loads(keepface("restore", old, "--person", "anna", "-o", tmp_path / "4.png", "--json").stdout)
    assert [face["person"] for face in row["results"][0]["faces"]] == ["anna"]


@pytest.mark.shared
def test_somebody_who_is_not_in_the_library_can_not_lead(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    result = keepface("restore", album("photos/00.jpg"), "--person", "anna", "-o", tmp_path / "out.png")
    assert result.exit_code == 1 and "nobody in the library" in result.stderr
    assert not (tmp_path / "out.png").exists() and restorer.calls == []
