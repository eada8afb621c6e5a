"""The same album on a cluster of two actors on this machine."""

import functools
import gc
from pathlib import Path

import pytest

from keepface.cli.paths import Jobs
from keepface.cli.restore_call import Call, Model
from keepface.cli.restore_jobs import load
from keepface.engine.album import Studio, restore_album
from keepface.engine.batch import Batching, Item
from keepface.engine.manifest import FOLDER, Manifest
from keepface.engine.on_ray import OnRay
from keepface.engine.provenance import Options
from keepface.engine.references import References
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.image.files import Limits, Photo, write_photo

from ..toy import SIZE, draw_face

pytest.importorskip("ray", reason="Ray is not installed: pip install 'keepface[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own making


def test_two_actors_make_the_same_files_as_one_process(
    tiny_family_folder: Path, tiny_restorer: Restorer, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for number, path in enumerate(paths):
        write_photo(Photo(draw_face(number, 0, SIZE)), path)
    paths[4].write_bytes(b"no picture")
    options = Options(RestoreSettings(steps=1, keep_worse=True), is_aligned=True)
    call = Call(Jobs((), (), True), (), None, options.settings, Limits(), 0, True, False)
    load_again = functools.partial(load, call, Model("faceme", str(tiny_family_folder), "cpu", None))
    studio = Studio(tiny_restorer, References(), options, Batching(2, workers=1))
    results = []
    for name, run in (("ray", OnRay(load_again, actors=2)), ("here", None)):
        out = tmp_path / name
        out.mkdir()
        manifest = Manifest(out)
        items = [Item(path, out / path.name) for path in paths]
        more = {} if run is None else {"run": run}
        rows = {Path(told.row["input"]).name: told.row for told in restore_album(items, manifest, studio, **more)}
        files = {path.name: path.read_bytes() for path in out.iterdir() if path.name != FOLDER}
        errors = {name: row["error"] for name, row in rows.items()}
        faces = {name: row["faces"] for name, row in rows.items()}
        states = [(entry.output, entry.status, entry.output_sha256) for entry in manifest.entries()]
        results.append((files, errors, faces, states))
        manifest.close()
    gc.collect()  # what Ray leaves open, while nobody minds
    on_ray, here = results
    assert on_ray == here and len(here[0]) == 8
    assert [name for name, error in here[1].items() if error] == ["4.png"]
    assert not list((tmp_path / "ray" / FOLDER).glob("*.part"))
