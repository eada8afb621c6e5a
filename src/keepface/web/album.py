"""Albums: many photos in, one zip out; a bad photo stops nothing, and what is done when it is stopped is kept."""

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from keepface.engine.batch import Item, Outcome, batching_for, restore_each
from keepface.engine.matching import People, names_of
from keepface.engine.photo import Progress
from keepface.engine.provenance import Options
from keepface.engine.redo import is_copy
from keepface.engine.references import References
from keepface.engine.result import FaceResult, Restoration
from keepface.engine.whole import PictureRestorer
from keepface.errors import PhotoError, RecipeError
from keepface.image.endings import FORMATS
from keepface.image.files import encode_photo
from keepface.people.private_files import write_private
from keepface.web.jobs import Shows, Stopped
from keepface.web.refusals import said
from keepface.web.restored import ENDINGS, named_in
from keepface.web.uploads import Given, format_of, written_as

ZIP = "album.zip"
DATE = (1980, 1, 1, 0, 0, 0)  # of everything in the zip, which has no other to tell


@dataclass(frozen=True)
class Row:
    """What became of one photo."""

    name: str
    output: str | None  # its name in the zip
    error: str | None
    seconds: float
    faces: tuple[FaceResult, ...] = ()


@dataclass(frozen=True, eq=False)
class Album:
    """Photos that were restored, as one zip; the rows are in the order of the photos."""

    folder: Path
    rows: tuple[Row, ...]
    people: tuple[str, ...]
    nbytes: int = 0  # of memory: it lies in files

    @property
    def zip(self) -> Path | None:
        """Return the file to download; `None` while the album is at work, or when no photo could be restored."""
        path = self.folder / ZIP
        return path if path.is_file() else None

    def discard(self) -> None:
        """Delete its files."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class Leading:
    """What restores an album, by what options, who leads, and the folders that no error names."""

    restorer: PictureRestorer
    led_by: References | People
    options: Options
    hide: tuple[Path, ...] = ()

    def named(self, faces: Sequence[FaceResult]) -> tuple[str, ...]:
        """Name those of the library who lead faces, or of whom a receipt speaks; one person who leads, in any case."""
        people = names_of(self.led_by)
        one = set() if isinstance(self.led_by, People) else set(people)
        return tuple(sorted(one | named_in(faces, people)))


def restore_album(leading: Leading, photos: Sequence[Given], folder: Path, progress: Progress | None = None) -> Album:
    """Restore photos into a zip in `folder`, which belongs to the album from then on; `progress` counts photos.

    Raises:
        RecipeError: there is no photo.
        Stopped: it was stopped; the album of what was done goes with it.
    """
    if not photos:
        raise RecipeError("an album needs a photo")
    for place in ("in", "out"):
        (folder / place).mkdir(mode=0o700)
    items, names = _laid_out(photos, folder)
    batching = batching_for(len(photos))
    rows: dict[int, Row] = {}
    write = _Write(leading.options)
    stopped: Stopped | None = None
    try:
        for outcome in restore_each(leading.restorer, items, leading.led_by, leading.options, batching, write):
            rows[outcome.number] = _row(outcome, names, leading.hide)
            if isinstance(progress, Shows):
                progress.show(_album(folder, rows, leading))
            if progress:
                progress(len(rows), len(items))
    except Stopped as stop:
        stopped = stop
    finally:
        shutil.rmtree(folder / "in", ignore_errors=True)
    _pack(folder, rows, items)
    album = _album(folder, rows, leading)
    if stopped is not None:
        raise Stopped(album)
    return album


def _album(folder: Path, rows: dict[int, Row], leading: Leading) -> Album:
    faces = [face for row in rows.values() for face in row.faces]
    return Album(folder, tuple(rows[number] for number in sorted(rows)), leading.named(faces))


def _laid_out(photos: Sequence[Given], folder: Path) -> tuple[list[Item], dict[Path, tuple[str, str]]]:
    """Put photos into files under names of ours; say for each what it is called, and what in the zip."""
    items, names, taken = [], {}, set[str]()
    for number, photo in enumerate(photos):
        data = photo.data
        form = written_as(data)
        source = folder / "in" / f"{number:06}"
        write_private(source, data)
        output = folder / "out" / f"{number:06}{ENDINGS[form]}"
        items.append(Item(source, output))
        names[source] = (photo.name, _own_name(photo.name, form, taken))
    return items, names


def _own_name(name: str, form: str, taken: set[str]) -> str:
    """Return a name in the zip that no other photo has, with the ending of its format."""
    path = PurePath(name)
    right = FORMATS.get(path.suffix.lower()) == form
    stem, ending = (path.stem, path.suffix) if right else (name, ENDINGS[form])
    found, number = f"{stem}{ending}", 1
    while found.casefold() in taken:
        number += 1
        found = f"{stem} ({number}){ending}"
    taken.add(found.casefold())
    return found


@dataclass(frozen=True)
class _Write:
    """Write one result beside the others; what was not restored is the photo, byte for byte."""

    options: Options

    def __call__(self, item: Item, restoration: Restoration) -> tuple[FaceResult, ...]:
        data = item.source.read_bytes()
        form = written_as(data)
        if not is_copy(restoration, format_of(data), form, self.options):
            data = encode_photo(restoration.image, form)
        write_private(item.output, data)
        return restoration.faces


def _row(outcome: Outcome[tuple[FaceResult, ...]], names: dict[Path, tuple[str, str]], hide: Sequence[Path]) -> Row:
    source = outcome.item.source
    name, output = names[source]
    if outcome.made is None:
        error = said(PhotoError((outcome.error or "").replace(str(source), name)), hide)
        return Row(name, None, error, outcome.seconds)
    return Row(name, output, None, outcome.seconds, outcome.made)


def _pack(folder: Path, rows: dict[int, Row], items: Sequence[Item]) -> None:
    """Put the results into one zip, uncompressed, for pictures are; and delete the single files."""
    done = [(row.output, items[number].output) for number, row in sorted(rows.items()) if row.output is not None]
    if done:
        aside = folder / f"{ZIP}.part"
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as packed:
            for name, path in done:
                info = zipfile.ZipInfo(name, DATE)
                info.external_attr = 0o600 << 16
                packed.writestr(info, path.read_bytes())
        os.replace(aside, folder / ZIP)
    shutil.rmtree(folder / "out", ignore_errors=True)
