"""The same album on a cluster of two actors on this machine."""

import functools
import gc
from pathlib import Path

import pytest

from keepface.cli.paths import Jobs
from keepface.cli.restore_call import Call, Model
from keepface.cli.restore_jobs import load
from keepface.engine.on_ray import OnRay
from keepface.engine.restorer import Restorer
from keepface.image.limits import Limits

from .worked import BAD, nine_photos, studio_of, worked

pytest.importorskip("ray", reason="Ray is not installed: pip install 'keepface[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own making


def test_two_actors_make_the_same_files_as_one_process(
    tiny_family_folder: Path, tiny_restorer: Restorer, tmp_path: Path
) -> None:
    paths, studio = nine_photos(tmp_path), studio_of(tiny_restorer)
    call = Call(Jobs((), (), True), (), None, studio.options.settings, Limits(), 0, True, False)
    load_again = functools.partial(load, call, Model("faceme", str(tiny_family_folder), "cpu", None))
    on_ray = worked(paths, tmp_path / "ray", studio, OnRay(load_again, actors=2))
    here = worked(paths, tmp_path / "here", studio, None)
    gc.collect()  # what Ray leaves open, while nobody minds
    assert on_ray == here and len(here["files"]) == 8
    assert [name for name, error in here["errors"].items() if error] == [BAD]
    assert not here["asides"]
