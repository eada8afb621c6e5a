"""From a recipe's file to a run's folder, by the function and by the command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from keepface.cli import app
from keepface.config import from_dict, to_dict
from keepface.data.prepare import Pack, prepare
from keepface.errors import DataError, RecipeError
from keepface.train.recipe import BatchSettings, Recipe
from keepface.train.run import make_task, resolve, train_recipe

from ..methods.pfstorer_toy import PFSTORER_METHOD
from ..toy import SIZE, ColourFeatures, ToyPeople

TEXT = """
task = "faceme"
phase = "stage2"
init_from = "{family}"
[optim]
steps = 4
batch = 2
[run]
save_every = 2
validate_every = 100
validate_items = 2
[batch]
degradations = ["light"]
"""


@pytest.fixture
def recipe(tiny_family_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.format(family=tiny_family_folder))
    return path


def interrupt_at(stop: int) -> object:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    return progress


def steps_of(run: Path) -> list[int]:
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "total" in line]


def test_a_runs_folder_in_a_recipes_place_goes_on_to_the_end(recipe: Path, toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, toy_data, run, ["optim.lr=1e-3"], interrupt_at(3))
    assert resolve(run) == resolve(recipe, ["optim.lr=1e-3"]) and not (run / "family").exists()
    seen: list[int] = []
    assert train_recipe(run, toy_data, progress=lambda step, steps, loss: seen.append(step)) == run / "family"
    assert seen == [3, 4] and steps_of(run) == [0, 1, 2, 3]
    assert train_recipe(run, toy_data, out=run) == run / "family"  # a finished run is exported again, no more


def test_the_command_goes_on_with_a_runs_folder(recipe: Path, toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, toy_data, run, progress=interrupt_at(2))
    result = CliRunner().invoke(app, ["train", str(run), "--data", str(toy_data)])
    assert result.exit_code == 0, result.output
    assert f"trained: {run / 'family'}" in result.output and steps_of(run) == [0, 1, 2, 3]


def test_a_run_is_not_mixed_with_another_recipe_or_place(recipe: Path, toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_recipe(recipe, toy_data, run, ["optim.steps=1"])
    with pytest.raises(RecipeError, match="this run was begun with another recipe; choose another --out, or train"):
        train_recipe(recipe, toy_data, run, ["optim.steps=2"])
    with pytest.raises(RecipeError, match="is a run's folder, which goes on where it is; leave out --out"):
        train_recipe(run, toy_data, tmp_path / "elsewhere")
    with pytest.raises(RecipeError, match=r"is no run's folder, it has no recipe.toml"):
        train_recipe(tmp_path, toy_data)
    with pytest.raises(RecipeError, match="say where the run is written: --out FOLDER"):
        train_recipe(recipe, toy_data)


def test_data_that_does_not_fit_is_refused_before_anything_is_written(
    recipe: Path, toy_data: Path, tmp_path: Path
) -> None:
    for name in ("train", "val"):
        prepare(ToyPeople(2, 2), tmp_path / "big" / name, 2 * SIZE, ColourFeatures())
        prepare(ToyPeople(2, 2), tmp_path / "bare" / name, SIZE)
    run = tmp_path / "run"
    with pytest.raises(DataError, match="squares of 64 px; the family needs 32: keepface data prepare"):
        train_recipe(recipe, tmp_path / "big", run)
    with pytest.raises(DataError, match="has no identity features"):
        train_recipe(recipe, tmp_path / "bare", run)
    with pytest.raises(RecipeError, match="task 'facemi' is unknown; use autoencoder or one of faceme"):
        train_recipe(recipe, toy_data, run, ["task=facemi"])
    with pytest.raises(RecipeError, match="phase 'stage9' is unknown"):
        train_recipe(recipe, toy_data, run, ["phase=stage9"])
    assert not run.exists()


def test_random_crops_come_from_packs_larger_than_the_family(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    for split, people in (("train", 4), ("val", 2)):
        prepare(ToyPeople(people, 2), tmp_path / split, 2 * SIZE, ColourFeatures())
    packs = Pack(tmp_path / "train"), Pack(tmp_path / "val")
    told = {
        "task": "pfstorer",
        "phase": "base",
        "init_from": str(tiny_family_folder),
        "method": to_dict(PFSTORER_METHOD),
    }
    told["batch"] = {"degradations": ["light"], "crop": "random"}
    recipe = from_dict(Recipe, told, "test")
    task = make_task(recipe, *packs)
    one, same = task.batch(5, 4), make_task(recipe, *packs).batch(5, 4)
    assert one.clean.shape == one.low.shape == (4, 3, SIZE, SIZE) and torch.equal(one.low, same.low)
    with torch.no_grad():
        assert torch.isfinite(task.losses(one)["total"]) and task.validate(2).grid.shape[1] == 3 * SIZE
    with pytest.raises(DataError, match=r"random crops of 32 px are cut from larger ones: .* --size 64"):
        make_task(recipe, Pack(toy_data / "train"), packs[1])
    with pytest.raises(DataError, match=r"squares of 64 px; the family needs 32"):
        make_task(replace(recipe, batch=BatchSettings()), *packs)
    with pytest.raises(RecipeError, match="task 'autoencoder' takes aligned squares"):
        make_task(replace(recipe, task="autoencoder", phase=""), *packs)
