"""Which photo is written where; no network and no picture is touched here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

# Endings of photos in a folder, and those that are written under the same name; other photos are written as PNG.
READ = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".mpo", ".jfif")
WRITTEN = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Job:
    """One photo to restore."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Jobs:
    """What a call asks for; in a batch, what was written by an earlier call is not done again."""

    jobs: tuple[Job, ...]
    empty: tuple[Path, ...]  # folders without photos
    is_batch: bool


def plan(inputs: Sequence[Path], output: Path, keep: Sequence[Path] = ()) -> Jobs:
    """Pair each photo with its output; `keep` are files that must not be written over, besides the inputs.

    Raises:
        typer.BadParameter: several photos and one output file, two photos with one output, an input as output.
    """
    is_batch = len(inputs) > 1 or output.is_dir() or any(path.is_dir() for path in inputs)
    if not is_batch:
        jobs = [Job(inputs[0], output)]
        empty: list[Path] = []
    else:
        if output.exists() and not output.is_dir():
            raise typer.BadParameter(f"{output} is a file; several photos need a folder", param_hint="--output")
        sources = [(path, _photos(path) if path.is_dir() else [path]) for path in inputs]
        empty = [path for path, found in sources if not found]
        jobs = [Job(source, output / _written_name(source)) for _, found in sources for source in found]
    _refuse_clashes(jobs, keep)
    return Jobs(tuple(jobs), tuple(empty), is_batch)


def _photos(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in READ and not path.name.startswith(".") and path.is_file()
    )


def _written_name(source: Path) -> str:
    return source.name if source.suffix.lower() in WRITTEN else f"{source.name}.png"


def _refuse_clashes(jobs: Sequence[Job], keep: Sequence[Path]) -> None:
    kept = {path.resolve() for path in (*keep, *(job.source for job in jobs))}
    taken: dict[Path, Path] = {}
    for job in jobs:
        target = job.output.resolve()
        if target in kept:
            raise typer.BadParameter(f"{job.output} is a photo that was given to read", param_hint="--output")
        if target in taken:
            raise typer.BadParameter(
                f"{taken[target]} and {job.source} would both be written to {job.output}", param_hint="--output"
            )
        taken[target] = job.source
