"""The one training loop, for every task; it knows no method's name.

Batches are a pure function of (seed, step), so running the same command again goes on where the run stopped.
"""

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from keepface.allocator import keep_freed_memory
from keepface.device import DTYPES
from keepface.image.files import to_uint8
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState
from keepface.train.journal import Journal
from keepface.train.recipe import OptimSettings, Recipe


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
    keep_freed_memory()
    cv2.setNumThreads(1)  # its threads and torch's would wait for each other
    accelerator = make_accelerator()
    task.networks.to(accelerator.device).train()
    state = _start(task, recipe, accelerator.device)
    checkpoint.resume(state, run)
    # Of several processes the first alone writes.
    journal = Journal(run / "journal.jsonl", state.step) if accelerator.is_main_process else None
    with closing(journal) if journal else nullcontext():
        while state.step < recipe.optim.steps:
            began = time.perf_counter()
            lr = set_lr(state.optimiser, recipe.optim, state.step)
            losses = _step(task, recipe, state, accelerator)
            state.step += 1
            if journal:
                journal.write(state.step - 1, {**losses, "lr": lr, "seconds": time.perf_counter() - began})
                _validate_and_save(task, recipe, state, journal, run)
            if progress:
                progress(state.step, recipe.optim.steps, losses["total"])
    if journal:
        with averaged(state):
            task.export(run / "family")
    accelerator.wait_for_everyone()
    return run / "family"


def make_accelerator() -> Accelerator:
    """Find this process's device and its fellow processes; a second call in a process finds the same."""
    return Accelerator(cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()))


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


def _start(task: Task, recipe: Recipe, device: torch.device) -> TrainState:
    settings = recipe.optim
    optimiser = torch.optim.AdamW(
        task.networks.parameters(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, eps=1e-8
    )
    average = {}
    if settings.ema:
        average = {name: tensor.detach().clone() for name, tensor in task.networks.state_dict().items()}
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.run.precision == "fp16")
    return TrainState(task.networks, optimiser, average, scaler)


def _step(task: Task, recipe: Recipe, state: TrainState, accelerator: Accelerator) -> dict[str, float]:
    # Each process draws its own part of the step's batch; gradients are averaged over the processes.
    processes, settings, precision = accelerator.num_processes, recipe.optim, recipe.run.precision
    batch = task.batch(state.step * processes + accelerator.process_index, max(1, settings.batch // processes))
    with torch.autocast(accelerator.device.type, DTYPES[precision], enabled=precision != "float32"):
        losses = task.losses(batch)
    state.optimiser.zero_grad()
    state.scaler.scale(losses["total"]).backward()  # type: ignore[no-untyped-call]
    parameters = list(state.networks.parameters())
    if processes > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, "mean")
    values = {name: float(value.detach()) for name, value in losses.items()}
    if settings.clip:
        state.scaler.unscale_(state.optimiser)
        values["gradient"] = float(nn.utils.clip_grad_norm_(parameters, settings.clip))
    state.scaler.step(state.optimiser)
    state.scaler.update()
    _average(state, min(settings.ema, (1 + state.step) / (10 + state.step)))
    return values


@torch.no_grad()
def _average(state: TrainState, decay: float) -> None:
    current = state.networks.state_dict()
    for name, tensor in state.average.items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], 1 - decay)
        else:
            tensor.copy_(current[name])  # a counter


def _validate_and_save(task: Task, recipe: Recipe, state: TrainState, journal: Journal, run: Path) -> None:
    is_last = state.step == recipe.optim.steps
    if state.step % recipe.run.validate_every == 0 or is_last:
        with averaged(state), torch.no_grad():
            found = task.validate(recipe.run.validate_items)
        journal.write(state.step - 1, {"validation": found.numbers})
        folder = run / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(to_uint8(found.grid)).save(folder / f"{state.step:06d}.png")
    if state.step % recipe.run.save_every == 0 or is_last:
        checkpoint.save(state, run)
