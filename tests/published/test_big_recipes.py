"""Recipes over the families of published weights: they resolve, with the papers' steps, batches and rates."""

from pathlib import Path

import pytest

from keepface.config import from_dict
from keepface.diffusion.faceid_plus import AdapterSettings
from keepface.diffusion.time_aware_encoder import TimeAwareSettings
from keepface.methods import PHASES, SETTINGS
from keepface.methods.faceme import FaceMeSettings
from keepface.methods.method import Phase
from keepface.methods.pfstorer import PFStorerSettings
from keepface.methods.ridfr import RIDFRSettings
from keepface.published.table import FAMILIES
from keepface.train.method_task import check_batch
from keepface.train.recipe import Recipe, read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
FOLDERS = ("sdxl", "sd15", "sd21")
WANTED = {  # steps, batch, learning rate; what is trained, over which family
    "sdxl/faceme-stage1": (130_000, 32, 5e-5, "stage1", "families/sdxl-fresh"),
    "sdxl/faceme-stage2": (210_000, 32, 5e-5, "stage2", "sdxl"),
    "sd15/ridfr-content": (87_500, 8, 1e-4, "content", "sd15-base"),
    "sd15/ridfr-naive": (45_000, 8, 2e-5, "naive", "sd15"),
    "sd15/ridfr-alignment": (45_000, 8, 2e-5, "alignment", "sd15"),
    "sd15/pfstorer-base": (20_000, 32, 5e-5, "base", "sd15-base"),
    "sd21/pfstorer-base": (20_000, 32, 5e-5, "base", "sd21"),
}


def read(name: str) -> Recipe:
    return read_recipe(RECIPES / f"{name}.toml")


def test_every_recipe_over_these_families_is_looked_at_here() -> None:
    there = {f"{path.parent.name}/{path.stem}" for folder in FOLDERS for path in (RECIPES / folder).glob("*")}
    assert there == WANTED.keys()


@pytest.mark.parametrize("name", WANTED)
def test_a_recipe_resolves_to_the_papers_values(name: str) -> None:
    recipe = read(name)
    optim = recipe.optim
    assert (optim.steps, optim.batch, optim.lr, recipe.phase, recipe.init_from) == WANTED[name]
    assert optim.schedule == "constant" and recipe.init_from in {*FAMILIES, "families/sdxl-fresh"}
    settings = from_dict(SETTINGS[recipe.task], recipe.method, f"{name} [method]")
    published = (RIDFRSettings(identity=AdapterSettings()), PFStorerSettings(encoder=TimeAwareSettings()))
    assert settings in (*published, FaceMeSettings())
    check_batch(recipe.phase, PHASES[recipe.task].get(recipe.phase, Phase()), recipe.batch)
    recipe.batch.pairs()


def test_pfstorers_base_needs_no_aligned_faces_and_goes_on_from_stablesr() -> None:
    for name in ("sd15/pfstorer-base", "sd21/pfstorer-base"):
        assert read(name).batch.crop == "random" and read(name).batch.degradations == ("pfstorer",)
    assert read("sd21/pfstorer-base").goes_on and not read("sd15/pfstorer-base").goes_on


def test_naive_and_alignment_differ_in_their_references_and_losses_alone() -> None:
    naive, alignment = read("sd15/ridfr-naive"), read("sd15/ridfr-alignment")
    assert naive.optim == alignment.optim and naive.run == alignment.run
    assert vars(alignment.batch) == {**vars(naive.batch), "min_references": 2, "max_references": 2}


def test_facemes_stages_are_the_releases_and_differ_in_steps_and_dropout_alone() -> None:
    first, second = read("sdxl/faceme-stage1"), read("sdxl/faceme-stage2")
    for recipe in (first, second):
        optim, batch = recipe.optim, recipe.batch
        assert (optim.betas, optim.weight_decay) == ((0.9, 0.999), 0.01)  # AdamW; no warm-up, clipping or average
        assert (optim.warmup_steps, optim.clip, optim.ema) == (0, 0.0, 0.0) and not recipe.loss and not recipe.goes_on
        assert (batch.flip, batch.shift_px, batch.own_in_pool, batch.degradations) == (0.0, 0, True, ("full",))
        assert (batch.min_references, batch.max_references, batch.min_others) == (1, 4, 0)
    assert (first.batch.identity_dropout, second.batch.identity_dropout) == (0.0, 0.5)
    assert second.batch.dropout_per == "batch" and first.run == second.run


def test_the_pages_of_the_families_name_their_recipes() -> None:
    for name in WANTED:
        page = RECIPES.parent / "docs" / "families" / f"{name.partition('/')[0]}.md"
        assert f"recipes/{name}" in page.read_text(encoding="utf-8") or "ridfr-naive" in name
        assert "keepface train recipes/compact" not in page.read_text(encoding="utf-8")
