from pathlib import Path

import pytest

from keepface.degrade.chains import PRESETS
from keepface.errors import RecipeError
from keepface.train.recipe import BatchSettings, OptimSettings, Recipe, read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text('task = "faceme"\n' + text)
    return path


def refusal(path: Path, *assignments: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, list(assignments))
    return str(caught.value)


def test_a_recipe_of_one_line_has_the_papers_optimiser(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, ""))
    assert recipe == Recipe(task="faceme")
    assert recipe.optim == OptimSettings(lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01, schedule="constant")


def test_unknown_keys_and_wrong_types_are_named_with_file_table_and_the_nearest_key(tmp_path: Path) -> None:
    path = write(tmp_path, "[optim]\nstepz = 3\n")
    assert refusal(path) == "mine.toml [optim]: unknown key 'stepz'; did you mean 'steps'?"
    path = write(tmp_path, '[optim]\nlr = "fast"\n')
    assert refusal(path) == "mine.toml [optim]: lr is 'fast' (str); it must be a float"
    path = write(tmp_path, '[run]\nprecision = "fp8"\n')
    assert "precision is 'fp8'; it must be one of 'float32', 'bf16', 'fp16'" in refusal(path)


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        ("optim.steps=0", "mine.toml [optim]: steps is 0; it must be at least 1"),
        ("optim.ema=1.5", "mine.toml [optim]: ema is 1.5; it must be from 0 to 1"),
        ("run.save_every=0", "mine.toml [run]: save_every is 0; it must be at least 1"),
        ("batch.identity_dropout=-0.1", "mine.toml [batch]: identity_dropout is -0.1; it must be from 0 to 1"),
    ],
)
def test_values_out_of_range_are_named(assignment: str, text: str, tmp_path: Path) -> None:
    assert refusal(write(tmp_path, ""), assignment) == text


def test_assignments_reach_any_key(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, "[optim]\nsteps = 5\n"), ["optim.lr=1e-3", "phase=stage2", "batch.flip=0"])
    assert (recipe.optim.steps, recipe.optim.lr, recipe.phase, recipe.batch.flip) == (5, 1e-3, "stage2", 0.0)


def test_a_presets_name_becomes_its_ranges() -> None:
    settings = BatchSettings(degradations=("heavy", "full")).pairs()
    assert settings.degradations == (PRESETS["heavy"], PRESETS["full"])
    with pytest.raises(RecipeError, match=r"degradation 'hard' is unknown; use some of light, medium, heavy"):
        BatchSettings(degradations=("full", "hard")).pairs()
    with pytest.raises(RecipeError, match="degradation '' is unknown"):
        BatchSettings(degradations=()).pairs()


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_of_the_repository_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.init_from or recipe.family or recipe.task == "guided"  # which has no family
    recipe.batch.pairs()
