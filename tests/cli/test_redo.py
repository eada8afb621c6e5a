"""Results made again by their recipes, by the real restorer over the tiny family."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from keepface.image.files import Photo, read_photo, write_photo

from ..engine.plain_restorer import ANNA, album, landscape, person
from ..toy import SIZE, draw_face

Keepface = Callable[..., Result]


@pytest.fixture
def square(tmp_path: Path) -> Path:
    path = tmp_path / "square.png"
    write_photo(Photo(draw_face(0, 0, SIZE)), path)
    return path


@pytest.fixture
def made(keepface: Keepface, square: Path, tiny_family_folder: Path, tmp_path: Path) -> Path:
    """A result of three candidates, with its recipe beside it."""
    out = tmp_path / "out.png"
    wanted = ("--candidates", 3, "--steps", 2, "--seed", 5, "--aligned", "--keep-worse", "--sidecar")
    result = keepface("restore", square, "-o", out, "--family", tiny_family_folder, *wanted)
    assert result.exit_code == 0, result.output
    return out


def recipe(out: Path) -> Path:
    return out.with_name(out.name + ".keepface.json")


def test_a_result_is_made_again_byte_for_byte(
    keepface: Keepface, made: Path, square: Path, tiny_family_folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.png"
    words = ("redo", recipe(made), "--input", square, "-o", again, "--family", tiny_family_folder)
    result = keepface(*words)
    assert result.exit_code == 0, result.output
    assert again.read_bytes() == made.read_bytes() and "the same" in result.stdout
    assert again.read_bytes() != square.read_bytes()
    assert keepface(*words).exit_code == 1  # it exists
    assert keepface(*words, "--force").exit_code == 0


def test_a_result_made_with_little_memory_is_made_again_so_and_is_the_same_picture_but_for_rounding(
    keepface: Keepface, square: Path, tiny_family_folder: Path, tmp_path: Path
) -> None:
    spared, usual, again = (tmp_path / f"{name}.png" for name in ("spared", "usual", "again"))
    how = ("--family", tiny_family_folder, "--steps", 2, "--aligned", "--keep-worse")
    assert keepface("restore", square, "-o", spared, *how, "--low-memory", "--sidecar").exit_code == 0
    assert keepface("restore", square, "-o", usual, *how).exit_code == 0
    torch.testing.assert_close(read_photo(spared).pixels, read_photo(usual).pixels, atol=1.5 / 255, rtol=0)
    assert json.loads(recipe(spared).read_text())["machine"]["low_memory"] is True
    result = keepface("redo", recipe(spared), "--input", square, "-o", again, "--family", tiny_family_folder)
    assert result.exit_code == 0 and again.read_bytes() == spared.read_bytes(), result.output


def test_what_is_not_the_recipes_is_refused_with_the_reason(
    keepface: Keepface, made: Path, square: Path, tiny_family_folder: Path, tmp_path: Path
) -> None:
    other = landscape(tmp_path / "other.png")
    start = ("redo", recipe(made), "--family", tiny_family_folder)
    for words, said in (
        (("--input", other, "-o", tmp_path / "a.png"), "is not the photo of this recipe"),
        (("--input", square, "-o", tmp_path / "a.jpg"), "the result was PNG"),
        (("--input", square, "-o", tmp_path / "a.png", "--ref", other), "did not lead this result"),
    ):
        result = keepface(*start, *words)
        assert result.exit_code == 1 and said in result.stderr, result.output
    assert not (tmp_path / "a.png").exists()
    compact = keepface("redo", recipe(made), "--input", square, "-o", tmp_path / "a.png", "--family", "compact")
    assert compact.exit_code == 1 and "is not the recipe's" in compact.stderr


def test_other_bytes_are_not_written_unless_asked_for(
    keepface: Keepface, made: Path, square: Path, tiny_family_folder: Path, tmp_path: Path
) -> None:
    told = json.loads(recipe(made).read_text())
    told["output_sha256"], told["machine"]["packages"]["torch"] = "0" * 64, "1.0"
    recipe(made).write_text(json.dumps(told))
    again = tmp_path / "again.png"
    words = ("redo", recipe(made), "--input", square, "-o", again, "--family", tiny_family_folder)
    result = keepface(*words)
    assert result.exit_code == 1 and "torch 1.0" in result.stderr and not again.exists()
    result = keepface(*words, "--even-if-different")
    assert result.exit_code == 0 and again.read_bytes() == made.read_bytes() and "torch 1.0" in result.stderr


def test_a_photo_without_a_face_is_copied_again_without_any_network(
    keepface: Keepface, tiny_family_folder: Path, tmp_path: Path
) -> None:
    field, out = landscape(tmp_path / "field.png"), tmp_path / "out.png"
    result = keepface("restore", field, "-o", out, "--family", tiny_family_folder, "--sidecar")
    assert result.exit_code == 0 and out.read_bytes() == field.read_bytes()
    result = keepface("redo", recipe(out), "--input", field, "-o", tmp_path / "again.png", "--family", "nowhere")
    assert result.exit_code == 0 and (tmp_path / "again.png").read_bytes() == field.read_bytes()


@pytest.mark.shared
def test_references_given_in_another_order_make_the_same_bytes(
    keepface: Keepface, tiny_family_folder: Path, tmp_path: Path
) -> None:
    photo, out = album("photos/00.jpg"), tmp_path / "out.jpg"
    first, second = person(ANNA)
    words = ("--family", tiny_family_folder, "--ref", second, "--ref", first)
    more = ("--ref-weight", 0.5, "--ref-weight", 1.0, "--steps", 2, "--keep-worse", "--sidecar")
    result = keepface("restore", photo, "-o", out, *words, *more)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() != photo.read_bytes() and read_photo(out).xmp is not None
    text = recipe(out).read_text()
    assert str(first) not in text and first.name not in text
    words = ("--family", tiny_family_folder, "--ref", first, "--ref", second)
    result = keepface("redo", recipe(out), "--input", photo, "-o", tmp_path / "again.jpg", *words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again.jpg").read_bytes() == out.read_bytes()
