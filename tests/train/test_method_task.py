from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.config import from_dict
from keepface.data.prepare import Pack
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.train.loop import Task, train
from keepface.train.recipe import Recipe
from keepface.train.run import make_task

from ..toy import low_squares


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
    for name, value in vars(first).items():
        assert torch.equal(value, vars(second)[name]), name
    assert not torch.equal(first.eps, third.eps) and not torch.equal(first.low, third.low)
    assert first.eps.shape == (3, 4, 4, 4) and int(first.t.max()) < 1000


def test_identity_is_dropped_for_half_of_the_batches_or_half_of_the_items(start: Any) -> None:
    shares = {}
    for per in ("batch", "sample"):
        task, _ = start("stage2", batch={"identity_dropout": 0.5, "dropout_per": per, "degradation": "light"})
        kept = torch.stack([task.batch(step, 4).has_reference.any(1) for step in range(60)]).float()
        assert float(kept.mean()) == pytest.approx(0.5, abs=0.15)
        shares[per] = kept.mean(1)
    assert set(shares["batch"].tolist()) == {0.0, 1.0}
    assert {0.25, 0.5, 0.75} <= set(shares["sample"].tolist())


def test_all_items_of_a_batch_have_one_to_four_references(start: Any) -> None:
    task, _ = start("stage1", batch={"degradation": "light"})
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
