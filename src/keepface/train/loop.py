"""The one training loop, for every task; it knows no method's name.

Batches are a pure function of (seed, step), so running the same command again goes on where the run stopped.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from keepface.image.files import to_uint8
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState
from keepface.train.journal import Journal
from keepface.train.recipe import OptimSettings, Recipe

PRECISIONS = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True, eq=False)
class Validation:
    """What a task says of itself on its fixed validation items: numbers, and a grid of pictures (RGB, 0..1)."""

    numbers: dict[str, float]
    grid: Tensor


@runtime_checkable
class Task(Protocol):
    """What is trained: an autoencoder, or one phase of a method."""

    networks: nn.Module

    def batch(self, step: int, size: int) -> Any:
        """Draw the batch of a step, on the CPU."""
        ...

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return the losses of a batch by name, `total` among them."""
        ...

    def validate(self, items: int) -> Validation:
        """Measure the networks as they are."""
        ...

    def export(self, folder: Path) -> None:
        """Write the networks as they are into a family's folder."""
        ...


def train(task: Task, recipe: Recipe, run: Path, progress: Callable[[int, int, float], None] | None = None) -> Path:
    """Run a recipe to its end, resuming when the run's folder holds a checkpoint; return the family's folder."""
    cv2.setNumThreads(1)  # its threads and torch's would wait for each other
    cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    accelerator = Accelerator(mixed_precision=PRECISIONS[recipe.run.precision], cpu=cpu)
    task.networks.to(accelerator.device).train()
    state = _start(task, recipe.optim)
    checkpoint.resume(state, run)
    optimiser = accelerator.prepare(state.optimiser)
    journal = Journal(run / "journal.jsonl", state.step)
    while state.step < recipe.optim.steps:
        began = time.perf_counter()
        lr = set_lr(state.optimiser, recipe.optim, state.step)
        losses = _step(task, recipe, state, accelerator, optimiser)
        seconds = time.perf_counter() - began
        journal.write(state.step, {**losses, "lr": lr, "seconds": seconds})
        state.step += 1
        if progress:
            progress(state.step, recipe.optim.steps, losses["total"])
        is_last = state.step == recipe.optim.steps
        if state.step % recipe.run.save_every == 0 or is_last:
            checkpoint.save(state, run)
        if state.step % recipe.run.validate_every == 0 or is_last:
            _validate(task, recipe, state, journal, run)
    with averaged(state):
        task.export(run / "family")
    journal.close()
    return run / "family"


def set_lr(optimiser: torch.optim.Optimizer, settings: OptimSettings, step: int) -> float:
    """Set and return the learning rate of a step: linear warm-up, then constant or a cosine to 2 %."""
    lr = settings.lr * min(1.0, (step + 1) / max(1, settings.warmup_steps))
    if settings.schedule == "cosine":
        lr *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))
    for group in optimiser.param_groups:
        group["lr"] = lr
    return lr


class averaged:  # noqa: N801
    """Hold a state's networks at their running average inside a `with` block, if there is one."""

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self._kept: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        if self._state.average:
            self._kept = {name: tensor.clone() for name, tensor in self._state.networks.state_dict().items()}
            self._state.networks.load_state_dict(self._state.average)
        self._state.networks.eval()

    def __exit__(self, *error: object) -> None:
        if self._kept:
            self._state.networks.load_state_dict(self._kept)
        self._state.networks.train()


def _start(task: Task, settings: OptimSettings) -> TrainState:
    parameters = [parameter.requires_grad_(True) for parameter in task.networks.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, eps=1e-8
    )
    average = {}
    if settings.ema:
        average = {name: tensor.detach().clone() for name, tensor in task.networks.state_dict().items()}
    return TrainState(task.networks, optimiser, average)


def _step(task: Task, recipe: Recipe, state: TrainState, accelerator: Accelerator, optimiser: Any) -> dict[str, float]:
    # Each process draws its own part of the step's batch; gradients are averaged over the processes.
    processes, settings = accelerator.num_processes, recipe.optim
    batch = task.batch(state.step * processes + accelerator.process_index, max(1, settings.batch // processes))
    with accelerator.autocast():
        losses = task.losses(batch)
    optimiser.zero_grad()
    accelerator.backward(losses["total"])
    parameters = list(state.networks.parameters())
    if processes > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, "mean")
    values = {name: float(value.detach()) for name, value in losses.items()}
    if settings.clip:
        values["gradient"] = float(accelerator.clip_grad_norm_(parameters, settings.clip))
    optimiser.step()
    if state.average:
        decay = min(settings.ema, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            for name, tensor in state.networks.state_dict().items():
                state.average[name].lerp_(tensor, 1 - decay)
    return values


def _validate(task: Task, recipe: Recipe, state: TrainState, journal: Journal, run: Path) -> None:
    with averaged(state), torch.no_grad():
        found = task.validate(recipe.run.validate_items)
    journal.write(state.step - 1, {"validation": found.numbers})
    folder = run / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_uint8(found.grid)).save(folder / f"{state.step:06d}.png")
