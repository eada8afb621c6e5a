"""The loop's own facts, on the tiny family and toy people: curves, resuming bit for bit, precisions, learning."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.config import from_dict
from keepface.data.prepare import Pack
from keepface.errors import WeightsError
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState
from keepface.train.loop import averaged, set_lr, train
from keepface.train.recipe import OptimSettings, Recipe
from keepface.train.run import make_task
from keepface.weights.store import read_safetensors

RUN = {"validate_every": 100, "validate_items": 2, "save_every": 100}


def recipe(folder: Path, phase: str, optim: dict[str, Any], run: dict[str, Any] | None = None) -> Recipe:
    tables = {"optim": {"batch": 4, "lr": 1e-3} | optim, "run": RUN | (run or {}), "batch": {"degradations": ["light"]}}
    task = {"task": "faceme", "phase": phase} if phase else {"task": "autoencoder"}
    return from_dict(Recipe, {**task, "init_from": str(folder), **tables}, "test")


def carry_out(made: Recipe, data: Path, run: Path, stop_after: int = 0) -> None:
    """Train as a new process would; stopping is an interrupt in the middle."""
    task = make_task(made, Pack(data / "train"), Pack(data / "val"))

    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop_after:
            raise KeyboardInterrupt

    train(task, made, run, progress)


def journal(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


# ---- the learning rate ----


def test_the_learning_rate_warms_up_in_a_line_and_falls_as_a_cosine_to_two_per_cent() -> None:
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    settings = OptimSettings(steps=100, lr=0.5, schedule="cosine", warmup_steps=10)
    for step in (0, 4, 9, 50, 99, 100):
        half_turn = 0.02 + 0.98 * (1 + math.cos(math.pi * step / 100)) / 2
        expected = 0.5 * half_turn * min(1.0, (step + 1) / 10)
        assert set_lr(optimiser, settings, step) == pytest.approx(expected)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(expected)
    assert set_lr(optimiser, settings, 100) == pytest.approx(0.01)
    assert set_lr(optimiser, OptimSettings(lr=0.3), 7) == 0.3


# ---- resuming ----


@pytest.mark.parametrize(
    ("phase", "precision"), [("base", "float32"), ("stage1", "fp16"), ("stage2", "bf16"), ("", "bf16")]
)
def test_a_run_that_was_cut_off_ends_bit_for_bit_as_one_that_was_not(
    phase: str, precision: str, tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    optim = {"steps": 6, "ema": 0.9, "clip": 1.0, "schedule": "cosine"}
    made = recipe(tiny_family_folder, phase, optim, {"precision": precision, "save_every": 3, "validate_every": 3})
    carry_out(made, toy_data, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        carry_out(made, toy_data, tmp_path / "halves", stop_after=5)
    assert json.loads((tmp_path / "halves/checkpoint/state.json").read_text())["step"] == 3
    carry_out(made, toy_data, tmp_path / "halves")
    assert journal(tmp_path / "halves") == journal(tmp_path / "straight")
    for name in ("networks", "average", "optimiser"):
        straight, halves = (read_safetensors(tmp_path / run / f"checkpoint/{name}.safetensors") for run in RUNS)
        assert straight.keys() == halves.keys() and len(straight) > 20
        assert [key for key in straight if not torch.equal(straight[key], halves[key])] == []
    states = [json.loads((tmp_path / run / "checkpoint/state.json").read_text()) for run in RUNS]
    assert states[0] == states[1] and bool(states[0]["scaler"]) == (precision == "fp16")


RUNS = ("straight", "halves")


def plain_state(width: int = 3) -> TrainState:
    network = torch.nn.Linear(width, 2)
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, width)).sum().backward()
    optimiser.step()
    return TrainState(network, optimiser, average)


def test_a_kill_while_saving_leaves_the_old_or_the_new_checkpoint(tmp_path: Path) -> None:
    state = plain_state()
    assert not checkpoint.resume(state, tmp_path)
    for step in (1, 2):
        state.step = step
        checkpoint.save(state, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")  # killed between the two renames
    (tmp_path / "checkpoint.new").mkdir()
    again = plain_state()
    assert checkpoint.resume(again, tmp_path) and again.step == 2
    assert torch.equal(again.networks.state_dict()["weight"], state.networks.state_dict()["weight"])


def test_a_checkpoint_of_other_networks_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    checkpoint.save(plain_state(), tmp_path)
    with pytest.raises(WeightsError, match="not for Linear: 1 of another shape: weight"):
        checkpoint.resume(plain_state(width=4), tmp_path)
    (tmp_path / "checkpoint" / "state.json").write_text("{")
    with pytest.raises(WeightsError, match="state.json: damaged; remove the checkpoint folder"):
        checkpoint.resume(plain_state(), tmp_path)


def test_the_average_stands_in_for_the_networks_inside_the_block_alone() -> None:
    state = plain_state()
    own = state.networks.state_dict()["weight"].clone()
    state.average["weight"].fill_(7.0)
    with averaged(state):
        assert (state.networks.state_dict()["weight"] == 7).all() and not state.networks.training
    assert torch.equal(state.networks.state_dict()["weight"], own) and state.networks.training


# ---- learning ----


@pytest.mark.parametrize(
    ("phase", "precision", "share"),
    [
        ("base", "float32", 0.9),
        ("base", "bf16", 0.9),
        ("stage2", "float32", 0.9),
        ("", "float32", 0.8),
        ("", "bf16", 0.8),
    ],
)
def test_the_loss_falls_on_toy_people_within_thirty_steps(
    phase: str, precision: str, share: float, tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    made = recipe(tiny_family_folder, phase, {"steps": 30, "lr": 3e-3, "batch": 8}, {"precision": precision})
    task = make_task(made, Pack(toy_data / "train"), Pack(toy_data / "val"))
    fixed = [task.batch(step, 16) for step in (1000, 1001)]

    def loss() -> float:
        with torch.no_grad():
            return sum(float(task.losses(batch)["total"]) for batch in fixed)

    before = loss()
    train(task, made, tmp_path)
    assert loss() < share * before
