import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import Result

import keepface as package
from keepface.image.files import read_photo

from ..engine.plain_restorer import landscape

Keepface = Callable[..., Result]
SOURCE = Path(package.__file__).resolve().parents[1]


def error_of(result: Result) -> str:
    """The one line on stderr of a call that failed with status 1."""
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    return result.stderr


def test_the_same_seed_makes_the_same_file_and_another_seed_another(keepface: Keepface, tmp_path: Path) -> None:
    clean = landscape(tmp_path / "clean.png")
    for name, seed in (("a.png", 3), ("b.png", 3), ("c.png", 4)):
        assert keepface("degrade", clean, tmp_path / name, "--preset", "heavy", "--seed", seed).exit_code == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a == b and a != c


def test_a_heavier_preset_loses_more(keepface: Keepface, tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    from keepface.image.files import Photo, write_photo

    clean = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 24, generator=rng), 96, mode="bicubic")[0].clamp(0, 1)
    write_photo(Photo(clean), tmp_path / "clean.png")
    losses = []
    for preset in ("light", "medium", "heavy"):
        keepface("degrade", tmp_path / "clean.png", tmp_path / f"{preset}.png", "--preset", preset)
        losses.append(float((read_photo(tmp_path / f"{preset}.png").pixels - clean).square().mean()))
    assert losses == sorted(losses) and losses[0] < losses[-1]


def test_a_replayed_draw_is_the_same_picture(keepface: Keepface, tmp_path: Path) -> None:
    clean = landscape(tmp_path / "clean.png")
    draw = tmp_path / "draw.json"
    assert keepface("degrade", clean, tmp_path / "a.png", "--seed", 9, "--draw-json", draw).exit_code == 0
    assert [step["kind"] for step in json.loads(draw.read_text())] == ["blur", "resize", "noise", "jpeg", "resize"]
    assert keepface("degrade", clean, tmp_path / "b.png", "--replay", draw).exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_draw_for_another_size_is_refused(keepface: Keepface, tmp_path: Path) -> None:
    draw = tmp_path / "draw.json"
    keepface("degrade", landscape(tmp_path / "clean.png"), tmp_path / "a.png", "--draw-json", draw)
    other = landscape(tmp_path / "other.png", 50, 60)
    result = keepface("degrade", other, tmp_path / "b.png", "--replay", draw)
    assert "was drawn for a photo of 120 x 90; this one is 60 x 50" in error_of(result)
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("text", ["not json", '[{"kind": "melt"}]', "{}"])
def test_a_draw_that_is_none_is_refused(keepface: Keepface, tmp_path: Path, text: str) -> None:
    (tmp_path / "draw.json").write_text(text)
    result = keepface("degrade", landscape(tmp_path / "c.png"), tmp_path / "b.png", "--replay", tmp_path / "draw.json")
    assert "draw.json" in error_of(result)


def test_an_output_that_exists_is_kept_without_force(keepface: Keepface, tmp_path: Path) -> None:
    clean, out = landscape(tmp_path / "clean.png"), tmp_path / "out.png"
    out.write_bytes(b"mine")
    assert "exists already" in error_of(keepface("degrade", clean, out))
    assert out.read_bytes() == b"mine"
    assert keepface("degrade", clean, out, "--force").exit_code == 0
    assert read_photo(out).pixels.shape == (3, 90, 120)


def test_the_clean_photo_is_never_written_over(keepface: Keepface, tmp_path: Path) -> None:
    clean = landscape(tmp_path / "clean.png")
    before = clean.read_bytes()
    assert keepface("degrade", clean, clean, "--force").exit_code == 2
    assert clean.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no such file"), (b"", "is empty"), (b"hello", "is no picture")]
)
def test_what_is_no_picture_is_named_with_the_reason(
    keepface: Keepface, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
    line = error_of(keepface("degrade", path, tmp_path / "out.png"))
    assert "broken.jpg" in line and said in line
    assert not (tmp_path / "out.png").exists()


def test_an_unknown_preset_ends_with_status_2_and_the_known_ones(keepface: Keepface, tmp_path: Path) -> None:
    result = keepface("degrade", landscape(tmp_path / "c.png"), tmp_path / "o.png", "--preset", "cruel")
    assert result.exit_code == 2 and "light, medium, heavy, full" in result.stderr


def test_a_replay_takes_no_preset(keepface: Keepface, tmp_path: Path) -> None:
    result = keepface("degrade", "a.png", "b.png", "--replay", "d.json", "--preset", "light")
    assert result.exit_code == 2


def program(*words: object) -> list[str]:
    return [sys.executable, "-m", "keepface", *(str(word) for word in words)]


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file grows above 4 KiB inside the block, and only there: whoever logs the tests to a file goes on after it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_file_behind(keepface: Keepface, tmp_path: Path) -> None:
    clean = landscape(tmp_path / "clean.png", 300, 400)
    with full_disk():
        line = error_of(keepface("degrade", clean, tmp_path / "out.png", "--preset", "light"))
    assert "out.png: can't be written" in line
    assert [path.name for path in tmp_path.iterdir()] == ["clean.png"]


def test_killed_at_the_moment_of_writing_there_is_a_whole_file_or_none(tmp_path: Path) -> None:
    clean = landscape(tmp_path / "clean.png", 900, 1200)
    with subprocess.Popen(program("degrade", clean, tmp_path / "out.png"), cwd=SOURCE, stdout=subprocess.PIPE) as run:
        deadline = time.monotonic() + 60
        while run.poll() is None and len(list(tmp_path.iterdir())) == 1 and time.monotonic() < deadline:
            time.sleep(0.0005)
        run.kill()
    out = tmp_path / "out.png"
    assert not out.exists() or read_photo(out).pixels.shape == (3, 900, 1200)
