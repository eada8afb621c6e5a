"""Which pictures belong to one photo: those of the same file name, whatever their ending."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keepface.bench.study.plan import QUESTIONS
from keepface.bench.study.settings import StudySettings
from keepface.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Found:
    """The files of each folder by photo."""

    methods: Mapping[str, Mapping[str, Path]]
    references: Mapping[str, Sequence[Path]]
    inputs: Mapping[str, Path]
    truths: Mapping[str, Path]


def find(settings: StudySettings) -> Found:
    """List the pictures of every folder.

    Raises:
        DataError: there is no such folder, or two of its pictures are of one photo.
    """
    return Found(
        {name: _pictures(folder) for name, folder in settings.methods.items()},
        _reference_files(settings.references) if settings.references else {},
        _pictures(settings.inputs) if settings.inputs else {},
        _pictures(settings.truths) if settings.truths else {},
    )


def common_photos(found: Found, settings: StudySettings) -> tuple[list[str], dict[str, str]]:
    """Return the photos that every folder has, and those left out with the reason."""
    needed = {f"{folder} (method {name})": found.methods[name] for name, folder in settings.methods.items()}
    if any(QUESTIONS[name].needs_references for name in settings.asked):
        needed[f"{settings.references} (references)"] = {name: files[0] for name, files in found.references.items()}
    if settings.inputs is not None:
        needed[f"{settings.inputs} (inputs)"] = found.inputs
    left_out = {}
    photos = []
    for photo in sorted({photo for files in found.methods.values() for photo in files}):
        lacking = [where for where, files in needed.items() if photo not in files]
        if lacking:
            left_out[photo] = f"not in {', '.join(lacking)}"
        else:
            photos.append(photo)
    if not photos:
        first = next(iter(left_out.items()), ("", ""))
        reason = f"; {first[0]} is {first[1]}" if left_out else ""
        raise DataError(f"study: no photo is in all folders under one file name{reason}")
    return photos, left_out


def control_sources(found: Found, photos: Sequence[str]) -> list[tuple[str, Path]]:
    """Return photos and a clean picture of each; those about which nothing else is asked, where there are any."""
    clean = found.truths or {photo: files[-1] for photo, files in found.references.items()}
    usable = [
        photo
        for photo in sorted(clean)
        if (not found.references or photo in found.references) and (not found.inputs or photo in found.inputs)
    ]
    if not usable:
        raise DataError("study: no clean photo for the controls has a photo's file name; or use --controls 0")
    others = [photo for photo in usable if photo not in set(photos)]
    return [(photo, clean[photo]) for photo in others or usable]


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; give one with a picture for each photo")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise DataError(f"{folder}: {found[path.stem].name} and {path.name} are both pictures of {path.stem}")
        found[path.stem] = path
    return found


def _reference_files(folder: Path) -> dict[str, Sequence[Path]]:
    """Take PHOTO.jpg, and all pictures in a folder PHOTO."""
    found: dict[str, Sequence[Path]] = {photo: [path] for photo, path in _pictures(folder).items()}
    for path in sorted(folder.iterdir()):
        inside = list(_pictures(path).values()) if path.is_dir() and not path.name.startswith(".") else []
        if inside:
            found[path.name] = [*found.get(path.name, []), *inside]
    return found
