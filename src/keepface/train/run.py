"""From a recipe's file to a finished run's folder."""

from collections.abc import Callable
from pathlib import Path

import torch

from keepface.config import dump_toml, from_dict, to_dict
from keepface.data.pairs import check_size
from keepface.data.prepare import Pack
from keepface.diffusion.family import Family
from keepface.errors import DataError, RecipeError
from keepface.methods import METHODS, PHASES, SETTINGS
from keepface.methods.method import Phase
from keepface.train import checkpoint
from keepface.train.autoencoder import AutoencoderTask
from keepface.train.cleaner import CleanerTask
from keepface.train.fresh import fresh_family
from keepface.train.guided.task import GuidedTask
from keepface.train.loop import Task, make_accelerator, train
from keepface.train.method_task import MethodTask
from keepface.train.recipe import Recipe, read_recipe

RECIPE = "recipe.toml"
GUIDED = "guided"  # learns from shards of face crops, not from packs


def train_recipe(
    recipe_path: Path,
    data: Path,
    out: Path | None = None,
    assignments: list[str] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """Train a recipe, or go on with a run's folder; return the folder of the trained family.

    `data` holds two prepared packs, `train/` and `val/`.

    Raises:
        RecipeError: the recipe can't be used, the run's folder was begun with another one, or a run's folder is given
            together with another `out`.
        DataError: a pack is missing, or is of another size than the family.
    """
    run = recipe_path if recipe_path.is_dir() else out
    if run is None:
        raise RecipeError(f"{recipe_path}: say where the run is written: --out FOLDER")
    if out is not None and out.resolve() != run.resolve():
        raise RecipeError(f"{run}: is a run's folder, which goes on where it is; leave out --out {out}")
    recipe = resolve(recipe_path, assignments)
    if recipe.task == GUIDED:
        task: Task = GuidedTask(recipe, data)
    else:
        task = make_task(recipe, Pack(data / "train"), Pack(data / "val"), make_accelerator().device)
    _keep_recipe(recipe, run)
    return train(task, recipe, run, progress)


def resolve(recipe_path: Path, assignments: list[str] | None = None) -> Recipe:
    """Read a recipe, or the one kept in a run's folder."""
    if recipe_path.is_dir() and not (recipe_path / RECIPE).is_file():
        raise RecipeError(f"{recipe_path}: is no run's folder, it has no {RECIPE}; give a recipe's file")
    return read_recipe(recipe_path / RECIPE if recipe_path.is_dir() else recipe_path, assignments)


def make_task(recipe: Recipe, train_pack: Pack, val_pack: Pack, device: torch.device | None = None) -> Task:
    """Build what a recipe trains, on `device` (`None` is the CPU)."""
    place = device or torch.device("cpu")
    if recipe.init_from:
        family = Family.from_pretrained(recipe.init_from, place)
    else:
        family = fresh_family(recipe.family, recipe.run.seed).to(place, torch.float32)
    for pack in (train_pack, val_pack):
        check_size(pack, family.size, recipe.batch.crop)
    if recipe.task == "autoencoder" and recipe.batch.crop != "aligned":
        raise RecipeError("[batch]: crop is \"random\"; task 'autoencoder' takes aligned squares: leave crop out")
    if recipe.task == "autoencoder":
        return AutoencoderTask(family, train_pack, val_pack, recipe)
    if recipe.task == "cleaner":
        return CleanerTask(family, train_pack, val_pack, recipe)
    if recipe.task not in METHODS:
        raise RecipeError(
            f"task {recipe.task!r} is unknown; use autoencoder or one of {', '.join(METHODS)}, or cleaner"
        )
    for pack in (train_pack, val_pack):
        if PHASES[recipe.task].get(recipe.phase, Phase()).has_identity and not pack.features:
            raise DataError(f"{pack.folder}: has no identity features; prepare it again without --no-features")
    settings = from_dict(SETTINGS[recipe.task], recipe.method, "[method]")
    method = METHODS[recipe.task].begin(family, settings, recipe.run.seed, recipe.goes_on)
    return MethodTask(method, train_pack, val_pack, recipe)


def _keep_recipe(recipe: Recipe, run: Path) -> None:
    other = f"this run was begun with another recipe; choose another --out, or train {run} itself"
    checkpoint.keep_plan(run / RECIPE, dump_toml(to_dict(recipe)), other)
