"""A person of the library is tuned: kept there meanwhile, however it is stopped, and in nobody else's sight."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from keepface.errors import KeepfaceError, OutputExistsError, RecipeError
from keepface.image.files import read_photo
from keepface.people.adapters import adapter_name
from keepface.people.person import Person
from keepface.people.store import Library, open_library
from keepface.train import checkpoint
from keepface.train.person_run import Asked, Chosen, train_person
from keepface.train.personalise import TuneSettings, personalise
from keepface.weights.in_memory import from_bytes
from keepface.weights.store import read_safetensors

from ..methods.pfstorer_toy import opened, photos_of
from ..people.conftest import COST, PNG, files, new_photo, nobody_asks
from ..toy import SIDE

ROOT = Path(__file__).resolve().parents[2]
QUICK = TuneSettings(steps=4, batch=2, save_every=2, degradations=("light",), preview_every=2, preview_steps=1)
LONG = replace(QUICK, steps=21, save_every=10, preview_every=50)
CHOSEN = Chosen(("1.png", "2.png", "3.png"), tuple(photos_of(0, 3, SIDE)))
CHILD = """
import os, signal, sys
from pathlib import Path
from keepface.people.store import open_library
from keepface.train.person_run import Asked, train_person
from tests.methods.pfstorer_toy import opened
from tests.train.test_person_run import CHOSEN, LONG
written, replace = [], os.replace
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def at_the_worst_moment(aside, path):
    written.append(path)
    die() if len(written) == 2 else replace(aside, path)
def progress(done, steps, loss):
    print(done, flush=True)
    if sys.argv[2] == "between steps" and done == 17:
        die()
if sys.argv[2] == "while it writes":
    os.replace = at_the_worst_moment
library = open_library(Path(sys.argv[1]), lambda: "")
train_person(library, library.find("anna"), opened(), CHOSEN, LONG, Asked(progress=progress))
"""


class Cut(Exception):  # noqa: N818
    """The power goes."""


def made(folder: Path, passphrase: str | None = None) -> tuple[Library, Person]:
    library = open_library(folder, nobody_asks).make(passphrase, COST)
    return library, library.add("anna", [new_photo(1)])


def cut_at(step: int) -> Asked:
    def progress(done: int, steps: int, loss: float) -> None:
        if done == step:
            raise Cut

    return Asked(progress=progress)


def test_the_adapter_is_that_of_an_unbroken_run_in_a_folder_and_the_run_is_gone(tmp_path: Path) -> None:
    library, anna = made(tmp_path / "library")
    method = opened()
    name = adapter_name("pfstorer", method.base_hash())
    with pytest.raises(Cut):
        train_person(library, anna, method, CHOSEN, QUICK, cut_at(3))
    assert library.adapters(anna) == () and library.has_run(anna, name)
    heard: list[int] = []
    trained = train_person(library, anna, opened(), CHOSEN, QUICK, Asked(progress=lambda done, *_: heard.append(done)))
    assert (trained.adapter, trained.began_at, heard) == (name, 2, [3, 4]) and not library.has_run(anna, name)
    tensors, told = from_bytes(library.read_adapter(anna, name), name)
    plain = read_safetensors(personalise(opened(), list(CHOSEN.squares), tmp_path / "folder", QUICK))
    assert tensors.keys() == plain.keys() and all(torch.equal(tensors[key], plain[key]) for key in plain)
    assert (told["method"], told["family"], told["photos"], told["steps"]) == ("pfstorer", "tiny", "3", "4")
    assert trained.preview is not None and trained.preview.parent.name == "runs"
    assert read_photo(trained.preview).pixels.shape == (3, 32, 64)  # low beside restored


def test_what_was_trained_by_the_same_plan_is_not_trained_again_unless_asked(tmp_path: Path) -> None:
    library, anna = made(tmp_path)
    first = train_person(library, anna, opened(), CHOSEN, QUICK)
    again = train_person(library, anna, opened(), CHOSEN, QUICK, cut_at(1))
    assert first.is_new and not again.is_new and again.adapter == first.adapter
    with pytest.raises(Cut):
        train_person(library, anna, opened(), CHOSEN, QUICK, replace(cut_at(1), restart=True))
    fewer = Chosen(CHOSEN.names[:2], CHOSEN.squares[:2])
    assert train_person(library, anna, opened(), fewer, QUICK).is_new  # other photos
    assert len(library.adapters(anna)) == 1


def test_an_unfinished_run_is_not_mixed_with_other_photos_or_settings(tmp_path: Path) -> None:
    library, anna = made(tmp_path)
    with pytest.raises(Cut):
        train_person(library, anna, opened(), CHOSEN, QUICK, cut_at(3))
    with pytest.raises(RecipeError, match="training of anna: begun with other photos or settings .* --restart"):
        train_person(library, anna, opened(), CHOSEN, replace(QUICK, seed=1))
    assert train_person(library, anna, opened(), CHOSEN, replace(QUICK, seed=1), Asked(restart=True)).began_at == 0


def test_a_locked_library_shows_nothing_of_the_person_while_they_are_trained(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    library, anna = made(tmp_path / "library", "correct horse")
    method, seen = opened(), []

    def look(done: int, steps: int, loss: float) -> None:
        """Search everything on the disk, in the middle of training, for the reference latents and for pictures."""
        assert method.person is not None
        latents = method.person.ref_latents
        needles = [latents.numpy().tobytes()[:40], latents.half().numpy().tobytes()[:20], *PNG, b"ref_latents"]
        seen.extend(files(tmp_path))
        assert not any(needle in path.read_bytes() for path in files(tmp_path) for needle in needles)

    trained = train_person(library, anna, method, CHOSEN, QUICK, Asked(progress=look))
    assert trained.preview is None and any(path.parent.name == "runs" for path in seen)
    assert from_bytes(library.read_adapter(anna, trained.adapter), "")[1]["steps"] == "4"
    look(4, 4, 0.0)
    shown = tmp_path / "shown.png"
    asked = Asked(restart=True, preview=shown)
    assert train_person(library, anna, opened(), CHOSEN, QUICK, asked).preview == shown and shown.exists()


def test_a_preview_replaces_no_file_that_was_there_before(tmp_path: Path) -> None:
    library, anna = made(tmp_path / "library")
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"dear to me")
    with pytest.raises(OutputExistsError, match="mine.png: exists already"):
        train_person(library, anna, opened(), CHOSEN, QUICK, Asked(preview=mine))
    with pytest.raises(RecipeError, match="mine.jpg: a preview is a PNG"):
        train_person(library, anna, opened(), CHOSEN, QUICK, Asked(preview=tmp_path / "mine.jpg"))
    assert mine.read_bytes() == b"dear to me"
    other = tmp_path / "other.png"
    with pytest.raises(Cut):
        train_person(library, anna, opened(), CHOSEN, QUICK, replace(cut_at(3), preview=other))
    before = other.read_bytes()  # of step 2
    train_person(library, anna, opened(), CHOSEN, QUICK, Asked(preview=other))
    assert other.read_bytes() != before


def test_who_is_forgotten_meanwhile_stays_forgotten(tmp_path: Path) -> None:
    library, anna = made(tmp_path)

    def forget(done: int, steps: int, loss: float) -> None:
        if done == 3:
            library.forget(anna)

    with pytest.raises(KeepfaceError):
        train_person(library, anna, opened(), CHOSEN, QUICK, Asked(progress=forget))
    assert [path.name for path in files(tmp_path)] == [".turn", "library.json"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize(("moment", "last"), [("between steps", 17), ("while it writes", 19)])
def test_a_run_that_is_killed_loses_at_most_ten_steps(moment: str, last: int, tmp_path: Path) -> None:
    library, anna = made(tmp_path / "library")
    words = [sys.executable, "-c", CHILD, str(tmp_path / "library"), moment]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    child = subprocess.run(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert child.returncode == -signal.SIGKILL and int(child.stdout.split()[-1]) == last
    name = adapter_name("pfstorer", opened().base_hash())
    assert checkpoint.notes_of(library.read_run(anna, name), name)["step"] == "10"
    library = open_library(library.folder, nobody_asks)  # which deletes what was half written
    assert not [path for path in files(library.folder) if path.suffix == ".part"]
    trained = train_person(library, anna, opened(), CHOSEN, LONG)  # the same call
    whole, other = made(tmp_path / "whole")
    unbroken = train_person(whole, other, opened(), CHOSEN, LONG)
    assert (trained.began_at, unbroken.began_at) == (10, 0)
    ours, told = from_bytes(library.read_adapter(anna, name), "one")
    theirs, meant = from_bytes(whole.read_adapter(other, name), "other")
    assert told == meant and all(torch.equal(ours[key], theirs[key]) for key in ours | theirs)
