"""A restoration by FaceMe over the family that comes with the package, on the example pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from keepface.cli import app
from keepface.diffusion.family import bundled_families

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REFERENCES = [item for number in (1, 2) for item in ("--ref", str(EXAMPLES / f"reference-{number}.jpg"))]


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    assert "compact" in bundled_families()
    out = tmp_path_factory.mktemp("examples") / "restored.png"
    command = [
        "restore",
        str(EXAMPLES / "old.png"),
        *REFERENCES,
        "--only",
        "1",
        "-o",
        str(out),
        *("--method", "faceme", "--steps", "4"),
        "--json",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_the_one_face_is_restored(restored: tuple[Path, dict[str, object]]) -> None:
    out, said = restored
    (row,) = said["results"]  # type: ignore[misc]
    (face,) = row["faces"]
    assert face["outcome"] != "unchanged" and face["method"] == "faceme"
    assert row["output"] == str(out) and out.is_file()


def test_only_pixels_around_the_face_change(restored: tuple[Path, dict[str, object]]) -> None:
    out, said = restored
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (EXAMPLES / "old.png", out))
    changed = (before != after).any(axis=2)
    left, top, right, bottom = said["results"][0]["faces"][0]["box"]  # type: ignore[index]
    rows, columns = np.nonzero(changed)
    wide, tall = right - left, bottom - top
    assert columns.min() > left - wide and columns.max() < right + wide
    assert rows.min() > top - tall and rows.max() < bottom + tall
    assert changed[int((top + bottom) / 2), int((left + right) / 2)]


def test_the_result_says_how_like_the_references_the_face_was_and_is(restored: tuple[Path, dict[str, object]]) -> None:
    likeness = restored[1]["results"][0]["faces"][0]["similarity"]  # type: ignore[index]
    assert set(likeness) == {"input_to_references", "output_to_references", "output_to_input"}
    assert all(-1 <= value <= 1 for value in likeness.values())
