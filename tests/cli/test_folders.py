"""Folders as people have them: with folders inside, with what is no photo, on disks that are full."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from keepface.engine.manifest import Manifest

from ..engine.plain_restorer import PlainRestorer, landscape

Keepface = Callable[..., Result]
Results = Callable[[Result], list[dict[str, Any]]]
THEN = 1_000_000_000  # seconds since 1970: September 2001


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A landscape, one of the same name in a folder below, and a film."""
    source = tmp_path / "in"
    (source / "2019").mkdir(parents=True)
    for path in (source / "a.png", source / "2019" / "a.png"):
        landscape(path, 40, 60)
        os.utime(path, (THEN, THEN))
    (source / "film.mp4").write_bytes(b"film")
    return source


def test_folders_below_are_done_with_one_manifest_and_what_is_left_out_is_told(
    keepface: Keepface, restorer: PlainRestorer, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flat = keepface("restore", folder, "-o", out, "--json")
    told = json.loads(flat.stdout)
    assert told["left_out"] == [{"folder": str(folder), "kinds": {"folders": 1, ".mp4": 1}}] and flat.exit_code == 0
    assert f"{folder}: left out: 1 .mp4, 1 folder (--recursive takes them in)" in flat.stderr
    deep = keepface("restore", folder, "-o", out, "--recursive")
    assert deep.exit_code == 0 and "left alone" in deep.stdout
    assert (out / "2019" / "a.png").read_bytes() == (folder / "2019" / "a.png").read_bytes()
    assert {entry.output: entry.status for entry in Manifest(out).entries()} == {"a.png": "done", "2019/a.png": "done"}
    assert [int((out / name).stat().st_mtime) for name in ("a.png", "2019/a.png")] == [THEN, THEN]


def test_names_that_are_too_long_fail_alone(
    keepface: Keepface, restorer: PlainRestorer, results: Results, folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (60, 40)).save(folder / ("x" * 251 + ".bmp"))
    out = tmp_path / "out"
    rows = results(keepface("restore", folder, "-o", out, "--json"))
    assert [row["error"] for row in rows] == [None, None]
    assert sorted(len(path.name) for path in out.glob("*.png")) == [5, 255]
    for words in (
        (folder / ("y" * 300 + ".png"), "-o", out),
        (folder / "a.png", "-o", tmp_path / ("y" * 300 + ".png")),
    ):
        result = keepface("restore", *words)
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        assert len(result.stderr.splitlines()) == 1
    result = keepface("restore", folder / "a.png", "--ref", tmp_path / ("y" * 300 + ".png"), "-o", tmp_path / "b.png")
    assert result.exit_code == 2 and "there is no such file" in result.stderr
    long = tmp_path / ("z" * 250 + ".png")
    result = keepface("restore", folder / "a.png", "-o", long, "--sidecar")
    assert result.exit_code == 1 and "too long a name" in result.stderr and not long.exists()


def test_on_a_full_disk_photos_fail_and_nothing_is_left_half_made(
    keepface: Keepface, restorer: PlainRestorer, results: Results, folder: Path, tmp_path: Path
) -> None:
    Image.effect_noise((400, 400), 90).convert("RGB").save(folder / "b.png")
    out = tmp_path / "out"
    assert keepface("restore", folder / "a.png", "-o", tmp_path / "first.png").exit_code == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
        rows = results(keepface("restore", folder, "-o", out, "--json"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    errors = {Path(row["input"]).name: row["error"] for row in rows}
    assert errors["a.png"] is None and "b.png: can't be written: File too large" in str(errors["b.png"])
    assert sorted(path.name for path in out.iterdir()) == [".keepface-batch", "a.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_log_that_can_not_be_written_is_told_in_one_line() -> None:
    words = [sys.executable, "-c", "from keepface.cli import main; main()", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "can't be written: No space left on device" in done.stderr


def test_libraries_warn_a_user_of_nothing() -> None:
    program = "import keepface.cli as cli, warnings; cli.app = lambda **_: warnings.warn('of ours', RuntimeWarning); "
    done = subprocess.run([sys.executable, "-c", program + "cli.main()"], capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout == ""


def test_what_of_a_file_is_not_in_the_result_is_said(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    pages = [Image.new("RGB", (60, 40), colour) for colour in ("red", "green", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    result = keepface("restore", tmp_path / "pages.tif", "-o", tmp_path / "out.png")
    assert result.exit_code == 0 and "  note: 3 pictures are in the file, and the first was taken" in result.stdout
    pages[0].save(tmp_path / "said.jpg", comment=b"Grandma")
    (row,) = results(keepface("restore", tmp_path / "said.jpg", "-o", tmp_path / "said.webp", "--json"))
    assert row["notes"] == ["WEBP has no place for comments, which are left out"]
    (row,) = results(keepface("restore", tmp_path / "said.jpg", "-o", tmp_path / "copy.jpg", "--json"))
    assert "notes" not in row
