"""keepface person train, and what restore does with what was learned; real photos and recognisers, a tiny family."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from keepface.image.files import Photo, read_photo, write_photo
from keepface.people.store import open_library
from keepface.train import personalise

from ..methods.pfstorer_toy import opened, save_opened
from ..toy import low_squares

Keepface = Callable[..., Result]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ONE, TWO = EXAMPLES / "reference-1.jpg", EXAMPLES / "reference-2.jpg"
pytestmark = pytest.mark.usefixtures("folders")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family with PFStorer's base."""
    folder: Path = tmp_path_factory.mktemp("families") / "led"
    save_opened(folder)
    return folder


def test_a_person_is_trained_shown_used_and_forgotten(
    keepface: Keepface, family: Path, folders: Path, tmp_path: Path
) -> None:
    keepface("person", "add", "anna", ONE, TWO)
    words = ("person", "train", "Anna", "--family", family, "--steps", 2)
    first = keepface(*words, "--json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert "only 2 of anna's photos fit to learn from, 3 to 5 are best" in first.stderr
    assert told["name"] == "anna" and sorted(told["photos"]) == [ONE.name, TWO.name] and told["trained"] is True
    assert (told["steps"], told["began_at"], told["method"]) == (2, 0, "pfstorer")
    assert told["adapter"].startswith("pfstorer-") and read_photo(told["preview"]).pixels.shape == (3, 32, 64)
    assert told["adapter"] in keepface("person", "list").stdout
    assert told["adapter"] in keepface("person", "show", "anna").stdout
    assert "is trained already" in keepface(*words).stdout and '"trained": false' in keepface(*words, "--json").stdout

    low = tmp_path / "low.png"
    write_photo(Photo(low_squares(1)[0]), low)
    restore = ("restore", low, "--method", "pfstorer", "--family", family, "--steps", 2, "--aligned", "--keep-worse")
    for name, more in (("base", ()), ("anna", ("--person", "anna", "--identity", 1))):
        result = keepface(*restore, *more, "-o", tmp_path / f"{name}.png")
        assert result.exit_code == 0, result.output
    keepface("person", "forget", "anna", "--yes")
    assert sorted(path.name for path in folders.rglob("*") if path.is_file()) == [".turn", "library.json"]


def test_the_adapter_is_taken_from_the_library_or_a_file_and_a_strange_one_is_refused(
    keepface: Keepface, family: Path, folders: Path, tmp_path: Path
) -> None:
    keepface("person", "add", "anna", ONE, TWO)
    low, out = tmp_path / "low.png", tmp_path / "out.png"
    write_photo(Photo(low_squares(1)[0]), low)
    words = (
        "restore",
        low,
        "--method",
        "pfstorer",
        "--family",
        family,
        "--steps",
        1,
        "--no-tile",
        "--force",
        "-o",
        out,
    )
    missing = keepface(*words, "--person", "anna")
    assert missing.exit_code == 1 and "anna was not trained for pfstorer over this family" in missing.stderr
    assert "keepface person train anna" in missing.stderr
    keepface("person", "train", "anna", "--family", family, "--steps", 1)
    assert keepface(*words, "--person", "anna").exit_code == 0

    library = open_library(folders / "library", lambda: "")
    anna = library.find("anna")
    (name,) = library.adapters(anna)
    path, damaged = tmp_path / "anna.safetensors", tmp_path / "damaged.safetensors"
    path.write_bytes(library.read_adapter(anna, name))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(bytes(data))
    assert keepface(*words, "--adapter", path).exit_code == 0
    for given, reason in (
        (damaged, "damaged: its tensors are not those that were written"),
        (tmp_path / "none.safetensors", "there is no such file"),
        (family / "pfstorer" / "sft.safetensors", "is no file of a person"),
    ):
        result = keepface(*words, "--adapter", given)
        assert result.exit_code == 1 and reason in result.stderr and str(given) in result.stderr
    foreign = opened()
    with torch.no_grad():
        next(iter(foreign.sft.parameters())).add_(1)
    foreign.family.save_pretrained(tmp_path / "other", torch.float32)
    foreign.save(tmp_path / "other", torch.float32)
    result = keepface(*words, "--adapter", path, "--family", tmp_path / "other")
    assert result.exit_code == 1 and "was learned over another base" in result.stderr
    library.write_adapter(anna, name, bytes(data))
    result = keepface(*words, "--person", "anna")
    assert result.exit_code == 1 and "the person's adapter: damaged" in result.stderr


def test_a_run_that_was_stopped_goes_on_by_the_same_command(
    keepface: Keepface, family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keepface("person", "add", "anna", ONE, TWO)
    words = ("person", "train", "anna", "--family", family, "--steps", 12)
    step, steps = personalise._step, []

    def stops(*given: object) -> float:
        steps.append(0)
        if len(steps) == 12:
            raise KeyboardInterrupt
        return float(step(*given))  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(personalise, "_step", stops)
        assert keepface(*words).exit_code != 0
    assert "adapters: none" in keepface("person", "show", "anna").stdout
    assert keepface(*words, "--seed", 1).exit_code == 2  # another run
    result = keepface(*words)
    assert result.exit_code == 0 and "in 12 steps, gone on from step 10" in result.stdout


def test_who_can_not_be_trained_is_told_why(
    keepface: Keepface, family: Path, tiny_family_folder: Path, tmp_path: Path
) -> None:
    keepface("person", "add", "anna", ONE)
    result = keepface("person", "train", "anna", "--family", tiny_family_folder)  # which has FaceMe alone
    assert result.exit_code == 1 and "keepface train recipes/compact/pfstorer-base.toml --data DATA" in result.stderr
    assert (Path(__file__).resolve().parents[2] / "recipes/compact/pfstorer-base.toml").is_file()
    for words, reason in (
        (("anna", "--method", "faceme"), "--method 'faceme' learns no single person; use pfstorer"),
        (("anna", "--variant", "dreambooth"), "--variant 'dreambooth' is unknown; use one of personal, vico"),
    ):
        result = keepface("person", "train", *words, "--family", family)
        assert result.exit_code == 2 and reason in result.stderr
    assert "nobody in the library" in keepface("person", "train", "ben", "--family", family).stderr
    small = tmp_path / "small.png"
    photo = read_photo(TWO)
    write_photo(Photo(torch.nn.functional.interpolate(photo.pixels[None], scale_factor=0.15, mode="area")[0]), small)
    added = keepface("person", "add", "carl", small)
    result = keepface("person", "train", "carl", "--family", family)
    assert added.exit_code == 0, added.output
    assert result.exit_code == 1 and "carl has no photo that is fit to learn from" in result.stderr
