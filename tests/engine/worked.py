"""An album for every way of working on one, and all that is left of it when it is done."""

from pathlib import Path
from typing import Any

from keepface.engine.album import Run, Studio, restore_album
from keepface.engine.batch import Batching, Item
from keepface.engine.manifest import FOLDER, Manifest
from keepface.engine.provenance import Options
from keepface.engine.references import References
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import PictureRestorer
from keepface.image.files import Photo, write_photo

from ..toy import SIZE, draw_face

BAD = "4.png"


def nine_photos(folder: Path) -> list[Path]:
    """Write nine aligned faces, but the fifth is no picture."""
    paths = [folder / f"{number}.png" for number in range(9)]
    for number, path in enumerate(paths):
        write_photo(Photo(draw_face(number, 0, SIZE)), path)
    (folder / BAD).write_bytes(b"no picture")
    return paths


def studio_of(restorer: PictureRestorer) -> Studio:
    options = Options(RestoreSettings(steps=1, keep_worse=True), is_aligned=True)
    return Studio(restorer, References(), options, Batching(2, workers=1))


def items_of(paths: list[Path], out: Path) -> list[Item]:
    return [Item(path, out / path.name) for path in paths]


def worked(paths: list[Path], out: Path, studio: Studio, run: Run | None) -> dict[str, Any]:
    """Restore an album and tell its files, errors, faces and the manifest's rows."""
    out.mkdir()
    manifest = Manifest(out)
    items = items_of(paths, out)
    more = {} if run is None else {"run": run}
    rows = {Path(told.row["input"]).name: told.row for told in restore_album(items, manifest, studio, **more)}
    states = [(entry.output, entry.status, entry.output_sha256) for entry in manifest.entries()]
    manifest.close()
    return {
        "files": {path.name: path.read_bytes() for path in out.iterdir() if path.name != FOLDER},
        "errors": {name: row["error"] for name, row in rows.items()},
        "faces": {name: row["faces"] for name, row in rows.items()},
        "states": states,
        "asides": [path.name for path in (out / FOLDER).glob("*.part")],
    }
