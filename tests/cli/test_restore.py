"""keepface restore, row by row of what bad input is promised; real files, detector and recognisers."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from keepface.image.files import Photo, read_photo, write_photo

from ..engine.plain_restorer import ANNA, BEN, PlainRestorer, album, landscape, person

Keepface = Callable[..., Result]
Results = Callable[[Result], list[dict[str, Any]]]
pytestmark = pytest.mark.shared

ROW = {"input", "output", "error", "seconds", "faces"}
FACE = {
    *("box", "person", "outcome", "restored", "reason", "reasons", "similarity"),
    *("same_person_probability", "quality", "seed", "method"),
}
SIMILARITY = {"input_to_references", "output_to_references", "output_to_input"}


def refs(name: str = ANNA, count: int = 2) -> list[object]:
    return [word for path in person(name, count) for word in ("--ref", path)]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_a_photo_is_restored_and_said_in_two_lines(keepface: Keepface, restorer: PlainRestorer, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = keepface("restore", album("photos/00.jpg"), *refs(), "-o", out, "--keep-worse")
    assert result.exit_code == 0, result.output
    assert "  1 face: 1 restored, " in result.stdout and "likeness to the references" in result.stdout
    assert len(lines(result.stdout)) == 2 and result.stderr == ""
    assert read_photo(out).pixels.shape == read_photo(album("photos/00.jpg")).pixels.shape
    assert restorer.calls[0]["references"] == [2]


def test_json_is_one_object_of_exactly_the_promised_keys(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    photo, out = album("photos/00.jpg"), tmp_path / "out.png"
    result = keepface("restore", photo, *refs(), "-o", out, "--json", "--keep-worse", "--seed", 3)
    (row,) = results(result)
    (face,) = row["faces"]
    assert set(row) == ROW and set(face) == FACE and set(face["similarity"]) == SIMILARITY
    assert row["input"] == str(photo) and row["output"] == str(out) and row["error"] is None and row["seconds"] > 0
    assert face["restored"] is True and face["outcome"] == "restored" and face["person"] is None
    assert {reason["way"] for reason in face["reasons"]} == {"restored"} and "keep the old face" in face["reason"]
    assert face["quality"]["held_px_before"] > 0
    assert face["seed"] == 3 and face["method"] == "plain"
    left, top, right, bottom = face["box"]
    assert 0 < left < right < 150 and 0 < top < bottom < 150
    assert all(-1 <= value <= 1 for value in face["similarity"].values())
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"hello", "is no picture"), (None, "is a folder"), (b"cut", "cut short")]
)
def test_what_is_no_picture_is_reported_and_the_batch_goes_on(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path, content: bytes | None, said: str
) -> None:
    good, bad, out = album("photos/00.jpg"), tmp_path / "bad.jpg", tmp_path / "out"
    if content is None:
        bad.mkdir()
    else:
        bad.write_bytes(good.read_bytes()[:2000] if content == b"cut" else content)
    result = keepface("restore", bad, good, "-o", out, "--json")
    rows = {row["input"]: row for row in results(result)}
    assert result.exit_code == 1
    said = "holds no photos" if content is None else said  # a folder among the inputs is looked into
    assert said in rows[str(bad)]["error"] and rows[str(bad)]["output"] is None
    assert rows[str(good)]["error"] is None and (out / "00.jpg").exists()
    assert len(lines(result.stderr)) == 1 and result.stderr.startswith("error: ") and "bad.jpg" in result.stderr


def test_a_missing_photo_fails_and_the_others_are_restored(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    result = keepface("restore", tmp_path / "gone.jpg", album("photos/00.jpg"), "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "gone.jpg: there is no such file" in result.stderr
    assert (tmp_path / "out" / "00.jpg").exists()


def test_a_photo_with_too_many_pixels_is_refused_with_the_limit(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    result = keepface("restore", album("photos/00.jpg"), "-o", tmp_path / "out.png", "--max-pixels", 10_000)
    assert result.exit_code == 1
    assert "00.jpg" in result.stderr and "limit is 0.01" in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_a_photo_with_too_many_faces_is_refused_with_the_way_to_raise_it(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    result = keepface("restore", album("clean/03.png"), "-o", tmp_path / "out.png", "--max-faces", 2)
    assert result.exit_code == 1
    assert "has 3 faces; the limit is 2: raise it with --max-faces 3" in result.stderr


def test_a_photo_without_a_face_is_copied_byte_for_byte_and_said(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    hill = landscape(tmp_path / "hill.jpg", 200, 300)
    result = keepface("restore", hill, *refs(), "-o", tmp_path / "out.jpg", "--json")
    face = results(result)[0]["faces"][0]
    assert result.exit_code == 0
    assert face["reason"] == "no face" and face["restored"] is False and face["box"] is None
    assert (tmp_path / "out.jpg").read_bytes() == hill.read_bytes()
    again = keepface("restore", hill, "-o", tmp_path / "again.jpg")
    assert "no face found, photo left as it is" in again.stdout


def test_a_photo_without_a_face_is_written_in_the_format_asked_for(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    hill = landscape(tmp_path / "hill.jpg", 200, 300)
    assert keepface("restore", hill, "-o", tmp_path / "out.png").exit_code == 0
    assert torch.equal(read_photo(tmp_path / "out.png").pixels, read_photo(hill).pixels)


def test_a_reference_without_a_face_is_named_and_left_out(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    hill = landscape(tmp_path / "hill.png")
    result = keepface("restore", album("photos/00.jpg"), *refs(), "--ref", hill, "-o", tmp_path / "out.png")
    assert result.exit_code == 0 and restorer.calls[0]["references"] == [2]
    assert f"reference {hill} left out: no face" in result.stderr and len(lines(result.stderr)) == 1


def test_a_reference_of_two_people_is_named_and_left_out(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    pair = album("clean/02.png")
    result = keepface("restore", album("photos/00.jpg"), *refs(), "--ref", pair, "-o", tmp_path / "out.png")
    assert result.exit_code == 0 and restorer.calls[0]["references"] == [2]
    assert f"reference {pair} left out: " in result.stderr and "two faces" in result.stderr


def test_a_reference_of_another_person_is_named_and_left_out(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    stranger = person(BEN)[0]
    words = (
        "restore",
        album("photos/00.jpg"),
        *refs(),
        "--ref",
        stranger,
        "-o",
        tmp_path / "out.png",
        "--json",
        "--keep-worse",
    )
    result = keepface(*words)
    assert result.exit_code == 0 and restorer.calls[0]["references"] == [2]
    assert f"reference {stranger} left out: shows another person" in result.stderr
    assert results(result)[0]["faces"][0]["restored"]


@pytest.mark.parametrize("kind", ["no face", "two faces", "another person"])
def test_strict_refuses_a_reference_that_would_be_left_out(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path, kind: str
) -> None:
    bad = {
        "no face": lambda: landscape(tmp_path / "hill.png"),
        "two faces": lambda: album("clean/02.png"),
        "another person": lambda: person(BEN)[0],
    }[kind]()
    out = tmp_path / "out.png"
    result = keepface("restore", album("photos/00.jpg"), *refs(), "--ref", bad, "-o", out, "--strict")
    assert result.exit_code == 1 and str(bad) in result.stderr and not out.exists()
    assert kind in result.stderr


def test_when_no_reference_can_be_used_every_photo_is_refused_with_the_reason(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    hill = landscape(tmp_path / "hill.png")
    out = tmp_path / "out"
    result = keepface("restore", album("photos/00.jpg"), album("photos/02.jpg"), "--ref", hill, "-o", out, "--json")
    rows = results(result)
    assert result.exit_code == 1 and len(rows) == 2
    assert all("no reference can be used" in row["error"] and "hill.png" in row["error"] for row in rows)
    assert list(out.iterdir()) == []


def test_references_of_somebody_else_never_lead(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    result = keepface("restore", person(BEN)[0], *refs(ANNA, 3), "-o", out, "--json")
    (face,) = results(result)[0]["faces"]
    assert result.exit_code == 0 and restorer.calls == [] and face["outcome"] == "unchanged"
    assert face["reason"].startswith("left as it was: hardly the person of the references")
    strict = keepface("restore", person(BEN)[0], *refs(ANNA, 3), "-o", tmp_path / "strict.png", "--strict")
    assert strict.exit_code == 1 and "hardly the person of the references" in strict.stderr
    assert not (tmp_path / "strict.png").exists()


def test_of_several_people_only_the_one_of_the_references_is_restored(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    result = keepface(
        "restore", album("clean/03.png"), *refs(BEN, 3), "-o", tmp_path / "out.png", "--json", "--keep-worse"
    )
    faces = results(result)[0]["faces"]
    assert sum(face["reason"] == "not this person" for face in faces) == 2
    assert sum(face["restored"] for face in faces) == 1


def test_an_output_that_exists_is_kept_without_force(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"mine")
    result = keepface("restore", album("photos/00.jpg"), "-o", out)
    assert result.exit_code == 1 and "exists already" in result.stderr and "--force" in result.stderr
    assert out.read_bytes() == b"mine" and restorer.calls == []
    assert keepface("restore", album("photos/00.jpg"), "-o", out, "--force").exit_code == 0
    assert read_photo(out).pixels.shape[0] == 3


def test_a_batch_goes_on_where_it_was_stopped(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("00.jpg", "06.jpg"):
        shutil.copy(album(f"photos/{name}"), source / name)
    assert keepface("restore", source, "-o", out).exit_code == 0
    first = (out / "00.jpg").stat().st_mtime_ns
    (out / "06.jpg").unlink()
    restorer.calls.clear()
    result = keepface("restore", source, "-o", out, "--json")
    assert result.exit_code == 0
    assert sum(len(call["references"]) for call in restorer.calls) == 2  # the faces of 06 alone
    assert (out / "00.jpg").stat().st_mtime_ns == first and (out / "06.jpg").exists()
    assert [bool(row["faces"]) for row in results(result)] == [False, True]
    assert "left alone" in keepface("restore", source, "-o", out).stdout


@pytest.mark.parametrize("name", ["out.xyz", "out"])
def test_an_unknown_ending_is_refused_before_any_work(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path, name: str
) -> None:
    result = keepface("restore", album("photos/00.jpg"), "-o", tmp_path / name)
    assert result.exit_code == 1 and ".png" in result.stderr and restorer.calls == []


def test_a_missing_output_folder_is_named_before_any_work(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    result = keepface("restore", album("photos/00.jpg"), "-o", tmp_path / "no" / "out.png")
    assert result.exit_code == 1 and "there is no folder" in result.stderr and restorer.calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "0"], "steps is 0"),
        (["--identity", "1.5"], "identity is 1.5"),
        (["--colour", "sepia"], "colour is 'sepia'"),
        (["--ref", "gone.jpg"], "gone.jpg: there is no such file"),
        (["--ref-weight", "0.5"], "0 references and 1 --ref-weight"),
        (["--seed", "-1"], "--seed"),
        (["--max-faces", "0"], "--max-faces"),
    ],
)
def test_a_setting_that_makes_no_sense_ends_with_status_2(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path, words: list[str], said: str
) -> None:
    result = keepface("restore", album("photos/00.jpg"), "-o", tmp_path / "out.png", *words)
    assert result.exit_code == 2 and said in result.stderr and result.stdout == ""
    assert list(tmp_path.iterdir()) == [] and restorer.calls == []


def test_a_photo_is_never_its_own_output_even_with_force(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    photo = Path(shutil.copy(album("photos/00.jpg"), tmp_path / "old.jpg"))
    before = photo.read_bytes()
    assert keepface("restore", photo, "-o", photo, "--force").exit_code == 2
    assert keepface("restore", tmp_path, "-o", tmp_path, "--force").exit_code == 2
    assert photo.read_bytes() == before


def test_weights_are_given_to_the_references_in_order(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    words = ("--ref-weight", 1, "--ref-weight", 0.25)
    assert keepface("restore", album("photos/00.jpg"), *refs(), *words, "-o", tmp_path / "out.png").exit_code == 0
    assert restorer.calls[0]["weights"] == [[1.0, 0.25]]


def test_an_aligned_crop_comes_back_at_the_size_of_the_family(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    write_photo(Photo(torch.full((3, 60, 60), 0.4)), tmp_path / "crop.png")
    assert (
        keepface("restore", tmp_path / "crop.png", "-o", tmp_path / "out.png", "--aligned", "--keep-worse").exit_code
        == 0
    )
    assert read_photo(tmp_path / "out.png").pixels.shape == (3, restorer.size, restorer.size)


def test_a_grey_photo_stays_grey_in_its_file(keepface: Keepface, restorer: PlainRestorer, tmp_path: Path) -> None:
    from PIL import Image

    with Image.open(album("photos/00.jpg")) as image:
        image.convert("L").save(tmp_path / "grey.png")
    assert keepface("restore", tmp_path / "grey.png", "-o", tmp_path / "out.png").exit_code == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "L"


def test_file_names_that_are_no_text_are_restored_and_printed(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    odd = tmp_path / b"g\xe9n [1] \xe2\x9c\xbf.jpg".decode("utf-8", "surrogateescape")
    shutil.copy(album("photos/00.jpg"), odd)
    assert keepface("restore", odd, "-o", tmp_path / "out.png").exit_code == 0
    (row,) = results(keepface("restore", odd, "-o", tmp_path / "again.png", "--json"))
    assert row["input"] == str(odd)


def test_nothing_restored_leaves_no_file_beside_the_output(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    landscape(tmp_path / "hill.jpg", 200, 300)
    keepface("restore", tmp_path / "hill.jpg", album("photos/00.jpg"), "-o", out)
    assert sorted(path.name for path in out.iterdir()) == ["00.jpg", "hill.jpg"]
