from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.config import from_dict
from keepface.errors import RecipeError
from keepface.methods.guided.files import load_network
from keepface.train.guided.task import GuidedTask
from keepface.train.loop import train
from keepface.train.recipe import Recipe, read_recipe
from keepface.train.run import train_recipe

RECIPES = Path(__file__).resolve().parents[3] / "recipes" / "guided"


def recipe(phase: str, **tables: Any) -> Recipe:
    plain = {"optim": {"steps": 2, "batch": 2, "lr": 1e-3}, "run": {"validate_every": 2, "validate_items": 2}}
    return from_dict(Recipe, {"task": "guided", "phase": phase, **plain, **tables}, "test")


def test_a_step_changes_the_trained_stage_alone(shards: Path, tmp_path: Path) -> None:
    made = recipe("detail", method={"size": 256}, loss={"adversarial": 0.1})
    task = GuidedTask(made, shards)
    assert task.network.detail is not None
    core = {name: tensor.clone() for name, tensor in task.network.core.state_dict().items()}
    detail = {name: tensor.clone() for name, tensor in task.network.detail.state_dict().items()}
    folder = train(task, made, tmp_path / "run")
    assert all(torch.equal(tensor, core[name]) for name, tensor in task.network.core.state_dict().items())
    assert any(not torch.equal(tensor, detail[name]) for name, tensor in task.network.detail.state_dict().items())
    assert load_network(folder).size == 256 and (tmp_path / "run" / "samples" / "000002.png").is_file()


def test_a_phase_goes_on_from_the_weights_that_it_is_given(shards: Path, tmp_path: Path) -> None:
    first = GuidedTask(recipe("core"), shards)
    first.export(tmp_path / "core")
    second = GuidedTask(recipe("all", method={"size": 256}, init_from=str(tmp_path / "core")), shards)
    assert all(
        torch.allclose(tensor, first.network.core.state_dict()[name], atol=2e-3)  # float16 lies between
        for name, tensor in second.network.core.state_dict().items()
    )


def test_the_losses_are_named_and_their_weighted_sum_is_followed(shards: Path) -> None:
    task = GuidedTask(recipe("core", loss={"identity": 0.5}, method={"nobody": 0.0, "stranger": 0.0}), shards)
    losses = {name: float(value.detach()) for name, value in task.losses(task.batch(0, 2)).items()}
    weights = {"pixels": 4, "coarse": 8, "perceptual": 1, "mix": 0.5, "landmarks": 2, "smooth": 2, "identity": 0.5}
    assert set(losses) == {"total", *weights}
    assert losses["total"] == pytest.approx(sum(weights[name] * losses[name] for name in weights), rel=1e-5)


def test_a_size_that_its_phase_has_not_is_refused(shards: Path) -> None:
    with pytest.raises(RecipeError, match="size is 128; phase 'all' needs 256"):
        GuidedTask(recipe("all"), shards)
    with pytest.raises(RecipeError, match="phase 'colour' is unknown"):
        GuidedTask(recipe("colour"), shards)


@pytest.mark.parametrize("name", ["core", "detail", "all"])
def test_the_recipes_are_read(name: str) -> None:
    assert read_recipe(RECIPES / f"{name}.toml").phase == name


def test_a_run_goes_on_bit_for_bit_where_it_was_stopped(shards: Path, tmp_path: Path) -> None:
    words = ["optim.steps=2", "optim.batch=1", "run.save_every=1", "run.validate_items=1", "loss.identity=0.0"]
    at_once = train_recipe(RECIPES / "core.toml", shards, tmp_path / "one", words)
    made = read_recipe(RECIPES / "core.toml", words)
    task = GuidedTask(made, shards)

    def stop(step: int, total: int, loss: float) -> None:
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, made, tmp_path / "two", stop)
    in_two = train(GuidedTask(made, shards), made, tmp_path / "two")
    assert (in_two / "guided.safetensors").read_bytes() == (at_once / "guided.safetensors").read_bytes()
