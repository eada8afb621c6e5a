"""keepface restore of a folder: shards, retries, what was done before, and a process that is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from keepface.cli.many import Many
from keepface.engine.batch import batch_for
from keepface.engine.manifest import FOLDER, Manifest
from keepface.image.files import Photo, write_photo

from ..engine.plain_restorer import ANNA, BEN, PlainRestorer, album, landscape, person
from ..toy import SIZE, draw_face

Keepface = Callable[..., Result]
Results = Callable[[Result], list[dict[str, Any]]]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != FOLDER}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three landscapes and one file that is no picture."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        landscape(source / f"{number}.png", 40 + number, 60)
    (source / "bad.png").write_bytes(b"no picture")
    return source


def test_an_album_is_done_with_a_manifest_and_bad_files_are_told_of(
    keepface: Keepface, restorer: PlainRestorer, results: Results, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = keepface("restore", folder, "-o", out, "--json")
    rows = {Path(row["input"]).name: row for row in results(result)}
    assert result.exit_code == 1 and len(rows) == 4 and "is no picture" in rows["bad.png"]["error"]
    assert sorted(contents(out)) == ["0.png", "1.png", "2.png"]
    assert all(rows[name]["faces"][0]["reason"] == "no face" for name in contents(out))
    assert {entry.output: entry.status for entry in Manifest(out).entries()} == {
        **{f"{number}.png": "done" for number in range(3)},
        "bad.png": "failed",
    }


def test_a_second_call_does_nothing_and_retry_tries_what_failed(
    keepface: Keepface, restorer: PlainRestorer, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    keepface("restore", folder, "-o", out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    again = keepface("restore", folder, "-o", out)
    assert again.stdout.count("left alone") == 3 and "--retry tries again" in again.stderr and again.exit_code == 1
    shutil.copy(folder / "0.png", folder / "bad.png")
    mended = keepface("restore", folder, "-o", out, "--retry")
    assert mended.exit_code == 0 and (out / "bad.png").exists()
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_other_options_are_refused_until_force(
    keepface: Keepface, restorer: PlainRestorer, folder: Path, tmp_path: Path
) -> None:
    (folder / "bad.png").unlink()
    out = tmp_path / "out"
    assert keepface("restore", folder, "-o", out).exit_code == 0
    other = keepface("restore", folder, "-o", out, "--seed", 2)
    assert other.exit_code == 1 and other.stderr.count("made with other options or references") == 3
    assert keepface("restore", folder, "-o", out, "--seed", 2, "--force").exit_code == 0
    assert {entry.seed for entry in Manifest(out).entries()} == {2}


def test_shards_do_each_photo_once(
    keepface: Keepface, restorer: PlainRestorer, results: Results, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    names = [
        Path(row["input"]).name
        for index in (1, 2, 3)
        for row in results(keepface("restore", folder, "-o", out, "--shard", f"{index}/3", "--json"))
    ]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    assert sorted(contents(out)) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "5/4"], "such as 1/4"),
        (["--engine", "dask"], "engine 'dask' is unknown; use one of here, ray"),
        (["--workers", "0"], "--workers"),
        (["--batch", "0"], "--batch"),
        (["--processes", "2", "--engine", "ray"], "with --engine ray say --workers"),
        (["--retry", "--sidecar"], "they don't go with files beside the pictures"),
    ],
)
def test_what_makes_no_sense_ends_with_status_2_before_any_work(
    keepface: Keepface, restorer: PlainRestorer, folder: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    result = keepface("restore", folder, "-o", tmp_path / "out", *words)
    assert result.exit_code == 2 and said in result.stderr and not (tmp_path / "out").exists()


def test_options_of_albums_are_refused_for_a_photo(
    keepface: Keepface, restorer: PlainRestorer, folder: Path, tmp_path: Path
) -> None:
    result = keepface("restore", folder / "0.png", "-o", tmp_path / "out.png", "--shard", "1/2")
    assert result.exit_code == 2 and "give a folder of photos" in result.stderr


@pytest.mark.shared
def test_an_album_led_by_references_is_what_its_photos_are_one_by_one(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    source, out, single = (tmp_path / name for name in ("in", "out", "single"))
    source.mkdir()
    single.mkdir()
    for name in ("photos/00.jpg", "clean/03.png", "photos/06.jpg"):
        shutil.copy(album(name), source)
    led = [word for name in (ANNA, BEN)[:1] for path in person(name) for word in ("--ref", path)]
    assert keepface("restore", source, "-o", out, *led, "--batch", 4).exit_code == 0
    for path in source.iterdir():
        assert keepface("restore", path, "-o", single / path.name, *led).exit_code == 0
    assert contents(out) == contents(single)


def test_two_processes_make_what_one_makes(keepface: Keepface, tiny_family_folder: Path, tmp_path: Path) -> None:
    source, one, two = (tmp_path / name for name in ("in", "one", "two"))
    source.mkdir()
    for number in range(5):
        write_photo(Photo(draw_face(number, 0, SIZE)), source / f"{number}.png")
    words = ("--family", tiny_family_folder, "--device", "cpu", "--aligned", "--steps", 1, "--keep-worse", "--batch", 2)
    for out, count in ((one, 1), (two, 2)):
        out.mkdir()
        manifest = Manifest(out)
        manifest.agreed("threads", 1)  # as a first call with two processes on two cores would
        manifest.close()
        assert keepface("restore", source, "-o", out, *words, "--processes", count).exit_code == 0
    assert contents(one) == contents(two) and len(contents(one)) == 5


def test_others_are_begun_early_only_where_an_album_is_to_have_any() -> None:
    alone = [Many().begun(47, None), Many(processes=1).begun(1000, None), Many().begun(1000, "cuda")]
    assert {many.start for many in (*alone, Many(engine="ray").begun(1000, None))} == {"spawn"}
    helped = Many(processes=2).begun(2, "cpu")
    assert helped.start == ("forkserver" if sys.platform == "linux" else "spawn") and helped == Many(processes=2)


def test_small_albums_have_short_batches() -> None:
    assert [batch_for(count) for count in (1, 3, 4, 7, 8, 15, 16, 1000)] == [1, 1, 2, 2, 4, 4, 8, 8]


def test_the_batch_of_the_first_call_stays_when_the_album_grows(
    keepface: Keepface, restorer: PlainRestorer, folder: Path, tmp_path: Path
) -> None:
    (folder / "bad.png").unlink()
    out = tmp_path / "out"
    keepface("restore", folder, "-o", out)
    for number in range(3, 9):
        landscape(folder / f"{number}.png", 40, 60)
    result = keepface("restore", folder, "-o", out)
    assert result.exit_code == 0 and result.stdout.count("left alone") == 3


def wait_for(what: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of other systems")
def test_a_killed_process_loses_nothing_and_repeats_nothing(
    keepface: Keepface, tiny_family_folder: Path, tmp_path: Path
) -> None:
    source, out, straight = (tmp_path / name for name in ("in", "out", "straight"))
    source.mkdir()
    paths = [source / f"{number:02}.png" for number in range(14)]
    for number, path in enumerate(paths):
        write_photo(Photo(draw_face(number, 0, SIZE)), path)
    options = ["--family", tiny_family_folder, "--aligned", "--keep-worse", "--steps", 1, "--seed", 5]
    words = ["restore", source, "-o", out, *options, "--batch", 2, "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "keepface", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    wait_for(lambda: process.poll() is not None or len(list(out.glob("*.png"))) >= 3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 3 <= len(before) < 14
    rows = json.loads(keepface(*words, "--json").stdout)["results"]
    words[3] = straight
    assert keepface(*words).exit_code == 0
    assert len(rows) == 14 and not any(row["error"] for row in rows)
    assert {Path(row["input"]).name for row in rows if not row["faces"]} == set(before)  # not done again
    assert contents(out) == contents(straight) and len(contents(out)) == 14
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())
