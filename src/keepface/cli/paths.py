"""Which photo is written where; no network and no picture is touched here."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import typer

from keepface.image.endings import FORMATS, RAW, READ

NAME_BYTES = 255  # the longest name of a file that usual file systems take
FOLDERS, NAMELESS = "folders", "files without an ending"


@dataclass(frozen=True)
class Job:
    """One photo to restore."""

    source: Path
    output: Path


@dataclass(frozen=True)
class Jobs:
    """What a call asks for; in a batch, what was written by an earlier call is not done again."""

    jobs: tuple[Job, ...]
    refused: tuple[tuple[Path, str], ...]  # folders that give no photos, and why
    is_batch: bool
    folder: Path = Path()  # of a batch: where all outputs lie
    left_out: tuple[tuple[Path, Counter[str]], ...] = ()  # of folders: how many of which kind


@dataclass(eq=False)
class _Found:
    """What lies in a folder."""

    photos: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problem: str | None = None  # the folder can't be read


def plan(inputs: Sequence[Path], output: Path, keep: Sequence[Path] = (), recursive: bool = False) -> Jobs:
    """Pair each photo with its output; `keep` are files that must not be written over, besides the inputs.

    Photos of one name get outputs of two; those of sub-folders lie in folders of the same names.

    Raises:
        typer.BadParameter: several photos and one output file, an input as output.
    """
    is_batch = len(inputs) > 1 or os.path.isdir(output) or any(os.path.isdir(path) for path in inputs)
    if not is_batch:
        jobs = [Job(inputs[0], output)]
        _refuse_clashes(jobs, keep)
        return Jobs(tuple(jobs), (), False)
    _check_folder(output)
    jobs, refused, left_out = [], [], []
    taken: set[Path] = set()
    for path in inputs:
        if not os.path.isdir(path):
            jobs.append(Job(path, _free(output / written_name(path.name), taken)))
            continue
        found = _look_into(path, recursive, output)
        for source in found.photos:
            place = output / source.relative_to(path).parent
            jobs.append(Job(source, _free(place / written_name(source.name), taken)))
        if found.left_out:
            left_out.append((path, found.left_out))
        if found.problem is not None or not found.photos:
            refused.append((path, f"{path}: {found.problem or 'holds no photos'}"))
    _refuse_clashes(jobs, keep)
    return Jobs(tuple(jobs), tuple(refused), True, output, tuple(left_out))


def photos_of(given: Sequence[Path], hint: str) -> list[Path]:
    """Return files as they are given, and in the place of a folder its photos; `hint` names the option.

    Raises:
        typer.BadParameter: a file that is missing, or a folder that gives no photos.
    """
    found: list[Path] = []
    for path in given:
        if os.path.isdir(path):
            inside = _look_into(path, False, None)
            if not inside.photos:
                raise typer.BadParameter(f"{path}: {inside.problem or 'holds no photos'}", param_hint=hint)
            found += inside.photos
        elif os.path.exists(path):
            found.append(path)
        else:
            is_address = path.parts[:1] in (("http:",), ("https:",))
            why = "is an address; save the photo and name its file" if is_address else "there is no such file"
            raise typer.BadParameter(f"{path}: {why}", param_hint=hint)
    return found


def left_out_words(kinds: Counter[str]) -> str:
    """Say what of a folder was left out, by kind and count."""
    hints = dict.fromkeys(RAW, " (pip install 'keepface[raw]' reads them)") | {FOLDERS: " (--recursive takes them in)"}
    told = []
    for kind, count in sorted(kinds.items()):
        name = "folder" if kind == FOLDERS and count == 1 else kind
        told.append(f"{count} {name}{hints.get(kind, '')}")
    return ", ".join(told)


def written_name(name: str) -> str:
    """Return the name of an output: the photo's, as PNG where its format is not written, no longer than may be."""
    return fitted(name) if Path(name).suffix.lower() in FORMATS else fitted(name, ".png")


def fitted(stem: str, ending: str = "") -> str:
    """Put an ending to a name, and shorten the name before it to what file systems take."""
    while len(os.fsencode(stem + ending)) > NAME_BYTES and len(stem) > 1:
        stem = stem[:-1]
    return stem + ending


def is_too_long(path: Path) -> bool:
    """Tell whether a file of this name can't be made where it is to lie."""
    try:
        most = os.pathconf(path.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        most = NAME_BYTES
    return len(os.fsencode(path.name)) > most


def _check_folder(output: Path) -> None:
    if os.path.isdir(output):
        return
    if os.path.exists(output):
        raise typer.BadParameter(f"{output} is a file; several photos need a folder", param_hint="--output")
    if output.suffix.lower() in FORMATS:
        raise typer.BadParameter(
            f"{output} is a name of a picture, and several photos need a folder; "
            "references of one photo all follow --ref",
            param_hint="--output",
        )


def _look_into(folder: Path, recursive: bool, output: Path | None) -> _Found:
    """Look for photos in a folder; in the folder of outputs, links to folders and hidden ones is not looked."""
    found, own = _Found(), None if output is None else output.resolve()
    endings = (*READ, *(RAW if find_spec("rawpy") is not None else ()))
    for entry in _entries(folder, found):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if own is not None and path.resolve() == own:
                continue
            if recursive and not entry.is_symlink():
                inner = _look_into(path, True, output)
                found.photos += inner.photos
                found.left_out += inner.left_out
                found.left_out["folders that can't be read"] += inner.problem is not None
            else:
                found.left_out[FOLDERS] += 1
        elif path.suffix.lower() in endings and entry.is_file():
            found.photos.append(path)
        else:
            found.left_out[path.suffix.lower() or NAMELESS] += 1
    found.left_out = +found.left_out
    return found


def _entries(folder: Path, found: _Found) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.problem = f"can't be read: {error.strerror or error}"
        return
    yield from inside


def _free(wanted: Path, taken: set[Path]) -> Path:
    """Return a path that no other photo has: where it is taken, with a number behind its name."""
    free, number = wanted, 1
    while free in taken:
        number += 1
        ending = f" ({number}){wanted.suffix}"
        free = wanted.with_name(fitted(wanted.stem, ending))
    taken.add(free)
    return free


def _refuse_clashes(jobs: Sequence[Job], keep: Sequence[Path]) -> None:
    kept = {path.resolve() for path in (*keep, *(job.source for job in jobs))}
    for job in jobs:
        if job.output.resolve() in kept:
            raise typer.BadParameter(f"{job.output} is a photo that was given to read", param_hint="--output")
