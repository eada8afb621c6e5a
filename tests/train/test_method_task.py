import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.config import from_dict, to_dict
from keepface.data.prepare import Pack, prepare
from keepface.diffusion.cleaner import Cleaner, CleanerSettings
from keepface.diffusion.family import Family
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import DataError, RecipeError, WeightsError
from keepface.train.loop import Task, train
from keepface.train.recipe import Recipe
from keepface.train.run import make_task

from ..methods.pfstorer_toy import PFSTORER_METHOD
from ..methods.ridfr_toy import opened
from ..toy import SIZE, ColourFeatures, ToyPeople, low_squares


@pytest.fixture
def start(tiny_family_folder: Path, toy_data: Path) -> Any:
    def make(phase: str, **tables: Any) -> tuple[Task, Recipe]:
        made = from_dict(
            Recipe, {"task": "faceme", "phase": phase, "init_from": str(tiny_family_folder), **tables}, "test"
        )
        return make_task(made, Pack(toy_data / "train"), Pack(toy_data / "val")), made

    return make


def test_a_batch_is_a_function_of_step_and_seed_alone(start: Any) -> None:
    (task, _), (again, _), (other, _) = start("stage2"), start("stage2"), start("stage2", run={"seed": 1})
    task.batch(0, 3)
    first, second, third = (made.batch(5, 3) for made in (task, again, other))
    assert first.tokens is None  # nobody asked for them
    for name in vars(first).keys() - {"tokens"}:
        assert torch.equal(vars(first)[name], vars(second)[name]), name
    assert not torch.equal(first.eps, third.eps) and not torch.equal(first.low, third.low)
    assert first.eps.shape == (3, 4, 4, 4) and int(first.t.max()) < 1000


def test_identity_is_dropped_for_half_of_the_batches_or_half_of_the_items(start: Any) -> None:
    shares = {}
    for per in ("batch", "sample"):
        task, _ = start("stage2", batch={"identity_dropout": 0.5, "dropout_per": per, "degradations": ["light"]})
        kept = torch.stack([task.batch(step, 4).has_reference.any(1) for step in range(60)]).float()
        assert float(kept.mean()) == pytest.approx(0.5, abs=0.15)
        shares[per] = kept.mean(1)
    assert set(shares["batch"].tolist()) == {0.0, 1.0}
    assert {0.25, 0.5, 0.75} <= set(shares["sample"].tolist())


def test_all_items_of_a_batch_have_one_to_four_references(start: Any) -> None:
    task, _ = start("stage1", batch={"degradations": ["light"]})
    counts = {tuple(task.batch(step, 2).has_reference.shape) for step in range(30)}
    assert counts == {(2, 1), (2, 2), (2, 3), (2, 4)}


@pytest.mark.parametrize(("phase", "numbers"), [("base", 1), ("stage2", 4)])
def test_validation_says_numbers_and_shows_rows_of_pictures(start: Any, phase: str, numbers: int) -> None:
    task, _ = start(phase)
    with torch.no_grad():
        found = task.validate(3)
    assert len(found.numbers) == numbers and all(value == value for value in found.numbers.values())
    assert found.grid.shape == (3, 32 * (3 if phase == "base" else 4), 32 * 3)
    assert float(found.grid.min()) >= 0 and float(found.grid.max()) <= 1


def test_training_writes_a_family_that_a_restorer_loads_with_its_history(start: Any, tmp_path: Path) -> None:
    run = {"validate_every": 9, "validate_items": 2}
    task, made = start("stage2", optim={"steps": 2, "batch": 2, "ema": 0.9}, run=run)
    folder = train(task, made, tmp_path / "run")
    restorer = Restorer.from_pretrained(folder, device="cpu")
    out = restorer.restore_squares(low_squares(1), [[]], RestoreSettings(steps=2), [0])
    assert out.shape == (1, 3, 32, 32)
    assert restorer.method.family.card.history == ("faceme stage2: 2 steps of 2, seed 0",)
    assert (tmp_path / "run" / "samples" / "000002.png").is_file()


# ---- a method that looks at photos of its references ----

OTHERS = {"min_others": 2, "min_references": 2, "max_references": 2}


@pytest.fixture(scope="module")
def people_of_three(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder: Path = tmp_path_factory.mktemp("three") / "val"
    return prepare(ToyPeople(3, 3, first=10), folder, SIZE, ColourFeatures())


@pytest.fixture
def start_ridfr(tiny_family_folder: Path, toy_pack: Pack, people_of_three: Pack, tmp_path: Path) -> Any:
    method = opened(Family.from_pretrained(tiny_family_folder))
    method.family.save_pretrained(tmp_path / "led")
    method.save(tmp_path / "led")
    shutil.copytree(tiny_family_folder / "faceme", tmp_path / "led" / "faceme")

    def make(phase: str, packs: tuple[Pack, Pack] = (toy_pack, people_of_three), **tables: Any) -> tuple[Task, Recipe]:
        told = {"task": "ridfr", "phase": phase, "init_from": str(tmp_path / "led"), **tables}
        made = from_dict(Recipe, told, "test")
        return make_task(made, *packs), made

    return make


def test_alignment_draws_two_other_photos_of_each_person_anew_and_always_alike(start_ridfr: Any) -> None:
    (task, _), (again, _) = (start_ridfr("alignment", batch=OTHERS) for _ in range(2))
    task.batch(0, 2)
    batch, twin = task.batch(3, 2), again.batch(3, 2)
    for name, value in vars(batch).items():
        assert torch.equal(value, vars(twin)[name]), name
    assert batch.tokens.shape == (2, 2, 49, 1280) and batch.recogniser.shape == (2, 2, 128)
    assert torch.allclose(batch.recogniser.norm(dim=2), torch.ones(2, 2), atol=1e-4)
    assert not torch.allclose(batch.tokens[:, 0], batch.tokens[:, 1], atol=1e-2)
    assert set(task.losses(batch)) == {"total", "denoising", "align"}


def test_a_recipe_that_draws_other_references_than_its_phase_needs_says_what_to_set(start_ridfr: Any) -> None:
    for batch, message in (
        ({}, "phase 'alignment' needs min_references = 2; it is 1"),
        ({**OTHERS, "min_others": 0}, "phase 'alignment' needs min_others = 2; it is 0"),
    ):
        with pytest.raises(RecipeError, match=message):
            start_ridfr("alignment", batch=batch)


def test_a_method_without_losses_on_pictures_says_so(tiny_family_folder: Path, toy_pack: Pack) -> None:
    told = {
        "task": "pfstorer",
        "phase": "base",
        "init_from": str(tiny_family_folder),
        "method": to_dict(PFSTORER_METHOD),
        "batch": {"crop": "aligned"},
        "loss": {"identity": 1.0},
    }
    with pytest.raises(RecipeError, match="method 'pfstorer' takes no losses on pictures; leave the table out"):
        make_task(from_dict(Recipe, told, "test"), toy_pack, toy_pack)


def test_a_phase_without_identity_learns_from_packs_without_features(
    start_ridfr: Any, toy_pack: Pack, tmp_path: Path
) -> None:
    packs = tuple(prepare(ToyPeople(2, 2), tmp_path / name, SIZE) for name in ("train", "val"))
    task, made = start_ridfr("content", optim={"steps": 1, "batch": 2}, run={"validate_items": 2}, packs=packs)
    assert task.batch(0, 2).recogniser.shape[-1] == 0
    folder = train(task, made, tmp_path / "run")
    assert Restorer.from_pretrained(folder, method="ridfr", device="cpu").size == SIZE
    with pytest.raises(DataError, match="val: has no identity features"):
        start_ridfr("alignment", batch=OTHERS, packs=(toy_pack, packs[1]))


@pytest.mark.parametrize(("phase", "numbers"), [("content", 3), ("alignment", 4)])
def test_a_phase_without_identity_is_validated_without_references(start_ridfr: Any, phase: str, numbers: int) -> None:
    task, _ = start_ridfr(phase, batch=OTHERS)
    assert (task.batch(0, 2).tokens is None) == (phase == "content")
    with torch.no_grad():
        found = task.validate(2)
    assert len(found.numbers) == numbers and all(value == value for value in found.numbers.values())
    assert found.grid.shape == (3, 32 * numbers, 32 * 2)


def test_a_trained_family_serves_the_methods_that_its_unet_served_before(start_ridfr: Any, tmp_path: Path) -> None:
    run = {"validate_every": 9, "validate_items": 2}
    task, made = start_ridfr("alignment", optim={"steps": 1, "batch": 2}, run=run, batch=OTHERS)
    folder = train(task, made, tmp_path / "run")
    for method in ("ridfr", "faceme"):
        restorer = Restorer.from_pretrained(folder, method=method, device="cpu")
        assert restorer.restore_squares(low_squares(1), [[]], RestoreSettings(steps=2), [0]).shape == (1, 3, 32, 32)


def test_a_recipe_may_show_its_method_what_the_cleaner_makes_and_the_family_tells_so(
    start: Any, tiny_family_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cleaning"
    shutil.copytree(tiny_family_folder, folder)
    cleaner = Cleaner.begin(CleanerSettings(channels=(8, 16)), SIZE, 0)
    torch.nn.init.constant_(cleaner.network.conv_out.bias, 0.1)  # what it adds to every picture
    cleaner.save(folder)
    task, _ = start("stage2", init_from=str(folder), batch={"clean": True})
    plain, _ = start("stage2", init_from=str(folder))
    cleaned, raw = task.batch(3, 2), plain.batch(3, 2)
    assert torch.equal(cleaned.clean, raw.clean) and not torch.equal(cleaned.low, raw.low)
    assert torch.allclose(cleaned.low, (raw.low + 0.1).clamp(0, 1), atol=1e-3)
    for trained, methods in ((task, ("faceme",)), (plain, ())):
        trained.export(tmp_path / str(len(methods)))
        assert Family.from_pretrained(tmp_path / str(len(methods))).card.cleaned == methods


def test_a_recipe_that_wants_a_cleaner_needs_a_family_with_one(start: Any) -> None:
    with pytest.raises(WeightsError, match="has no cleaner"):
        start("stage2", batch={"clean": True})
