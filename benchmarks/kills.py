"""Restore an album twice, once undisturbed and once killed on the way with SIGKILL; compare bytes, watch the memory.

    python benchmarks/kills.py --count 1000 --kills 3
    python benchmarks/kills.py --photos old-photos/ --family compact --steps 1 --count 1000

Without --family a tiny one with random weights is made first: what it paints is noise, and as good as any to compare.
Photos are those of the folder, if one is given, repeated, between drawn ones without a face, with a broken file now
and then.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from keepface.engine.manifest import FOLDER, Manifest
from keepface.image.files import Photo, write_photo
from keepface.image.size import resize
from keepface.seeds import generator

ROOT = Path(__file__).resolve().parents[1]
READ = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
BROKEN = 97  # every so-manieth file is no picture


@dataclass(frozen=True)
class Point:
    """The memory of one process when so many outputs were there."""

    outputs: int
    now_mib: float
    peak_mib: float


def tiny_family(folder: Path) -> Path:
    """Make the family of the tests."""
    sys.path.insert(0, str(ROOT))
    from tests.toy import FAMILY, METHOD

    from keepface.methods.faceme import FaceMe
    from keepface.train.fresh import fresh_family

    family = fresh_family(FAMILY, seed=0)
    method = FaceMe.begin(family, METHOD, seed=0)
    method.trainable("stage2")
    family.save_pretrained(folder)
    method.save(folder)
    return folder


def fill(folder: Path, count: int, photos: Path | None) -> None:
    """Write an album: photos of the folder every fifth time, drawn ones of changing size, and broken files."""
    folder.mkdir()
    given = sorted(path for path in photos.iterdir() if path.suffix.lower() in READ) if photos else []
    for number in range(count):
        if number % BROKEN == BROKEN - 1:
            (folder / f"{number:04}.jpg").write_bytes(b"no picture at all")
        elif given and number % 5 == 0:
            path = given[number // 5 % len(given)]
            shutil.copy(path, folder / f"{number:04}{path.suffix}")
        else:
            coarse = torch.rand(3, 5, 7, generator=generator(number, "kills"))
            size = (60 + number % 50, 80 + number % 70)
            write_photo(Photo(resize(coarse, size, "bicubic").clamp(0, 1)), folder / f"{number:04}.jpg")


def outputs(out: Path) -> int:
    """Count the outputs that are there."""
    return sum(not entry.name.startswith(".") for entry in os.scandir(out)) if out.is_dir() else 0


def memory(process: int) -> tuple[float, float]:
    """Return the resident size of a process, and its highest so far, in MiB; 0 where the system doesn't say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(found.get("VmRSS", 0)) / 1024, int(found.get("VmHWM", 0)) / 1024


def restore(words: Sequence[str], out: Path, marks: Sequence[int], stop_at: int | None) -> list[Point]:
    """Run the command; note its memory when outputs pass the marks, and kill it when they pass `stop_at`."""
    points: list[Point] = []
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            done = outputs(out)
            if len(points) < len(marks) and done >= marks[len(points)]:
                points.append(Point(done, *memory(process.pid)))
            if stop_at is not None and done >= stop_at:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.02)
    if stop_at is None and process.returncode not in (0, 1):
        raise SystemExit(f"the command ended with status {process.returncode}")
    return points


def contents(out: Path) -> dict[str, bytes]:
    """Return the outputs."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != FOLDER}


def main() -> None:
    """Read the options, run twice, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--photos", type=Path, help="folder of photos with faces, to be repeated")
    parser.add_argument("--family", help="the default is tiny and made here")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--marks", type=int, nargs="+", default=[100, 250, 500, 750, 980], help="of outputs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        family = options.family or str(tiny_family(folder / "tiny"))
        fill(folder / "in", options.count, options.photos)
        command = [sys.executable, "-m", "keepface", "restore", str(folder / "in"), "--family", family]
        command += ["--steps", str(options.steps), "--keep-worse", "--device", "cpu", "-o"]
        straight, killed = folder / "straight", folder / "killed"
        started = time.perf_counter()
        points = restore([*command, str(straight)], straight, options.marks, None)
        seconds = time.perf_counter() - started
        print(f"{platform.machine()}, {options.count} photos, {options.steps} steps: {seconds:.0f} s undisturbed\n")
        print("| outputs | resident, MiB | highest so far, MiB |\n|---:|---:|---:|")
        print("\n".join(f"| {point.outputs} | {point.now_mib:.0f} | {point.peak_mib:.0f} |" for point in points))
        for number in range(options.kills):
            restore([*command, str(killed)], killed, [], (number + 1) * options.count // (options.kills + 1))
            print(f"\nkilled with {outputs(killed)} outputs there", end="", flush=True)
        restore([*command, str(killed)], killed, [], None)
        one, two = contents(straight), contents(killed)
        entries = Manifest(killed).entries()
        states = {status: sum(entry.status == status for entry in entries) for status in ("done", "failed", "writing")}
        print(f"\n\n{len(one)} and {len(two)} outputs, the same bytes: {one == two}; entries: {states}")
        if one != two:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
