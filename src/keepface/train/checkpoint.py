"""Save and resume a run bit for bit: networks, their average, AdamW's moments and the step; no pickles."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from keepface.errors import RecipeError, WeightsError
from keepface.weights.in_memory import from_bytes, to_bytes
from keepface.weights.store import load_strictly, read_safetensors, write_safetensors

FOLDER = "checkpoint"


@dataclass(eq=False)
class TrainState:
    """All that changes while a run goes on; batches depend on the step alone, so no random state is kept."""

    networks: nn.Module
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False))
    step: int = 0


def save(state: TrainState, run: Path) -> None:
    """Write a checkpoint beside the old one and swap them, so that a kill leaves one of the two whole."""
    new, final, old = run / f"{FOLDER}.new", run / FOLDER, run / f"{FOLDER}.old"
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    write_safetensors(_contiguous(state.networks.state_dict()), new / "networks.safetensors", {})
    write_safetensors(_moments(state.optimiser), new / "optimiser.safetensors", {})
    if state.average:
        write_safetensors(_contiguous(state.average), new / "average.safetensors", {})
    plain = {"step": state.step, "scaler": state.scaler.state_dict()}
    (new / "state.json").write_text(json.dumps(plain), encoding="utf-8")
    if final.exists():
        os.replace(final, old)
    os.replace(new, final)
    shutil.rmtree(old, ignore_errors=True)


def resume(state: TrainState, run: Path) -> bool:
    """Load the newest whole checkpoint into `state`; False when the run has none yet.

    Raises:
        WeightsError: the checkpoint is damaged or belongs to other networks.
    """
    folder = next((run / name for name in (FOLDER, f"{FOLDER}.old") if (run / name / "state.json").exists()), None)
    if folder is None:
        return False
    load_strictly(state.networks, read_safetensors(folder / "networks.safetensors"), str(folder / "networks"))
    if state.average:
        saved = read_safetensors(folder / "average.safetensors")
        if saved.keys() != state.average.keys():
            raise WeightsError(f"{folder / 'average'}: belongs to other networks; remove the folder to start again")
        for name, tensor in state.average.items():
            tensor.copy_(saved[name])
    _load_moments(state.optimiser, read_safetensors(folder / "optimiser.safetensors"), folder)
    try:
        plain = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        state.step = int(plain["step"])
        if plain.get("scaler"):
            state.scaler.load_state_dict(plain["scaler"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise WeightsError(f"{folder / 'state.json'}: damaged; remove the checkpoint folder to start again") from None
    return True


def packed(state: TrainState, notes: Mapping[str, str]) -> bytes:
    """Return a checkpoint as bytes, with notes of the caller's, for whoever keeps it elsewhere than in a folder."""
    parts = {"networks": state.networks.state_dict(), "moments": _moments(state.optimiser), "average": state.average}
    tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    return to_bytes(tensors, {**notes, "step": str(state.step)})


def notes_of(data: bytes, where: str) -> dict[str, str]:
    """Return the notes that were packed with a checkpoint; `where` names it in errors.

    Raises:
        WeightsError: the bytes are damaged.
    """
    return from_bytes(data, where)[1]


def unpack(state: TrainState, data: bytes, where: str) -> None:
    """Load a packed checkpoint into `state`; `where` names it in errors.

    Raises:
        WeightsError: the bytes are damaged or belong to other networks.
    """
    tensors, notes = from_bytes(data, where)
    parts: dict[str, dict[str, Tensor]] = {"networks": {}, "moments": {}, "average": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = tensor
    if parts["average"].keys() != state.average.keys() or not notes.get("step", "").isdigit():
        raise WeightsError(f"{where}: belongs to other networks, or is damaged; begin anew")
    load_strictly(state.networks, parts["networks"], where)
    for name, tensor in state.average.items():
        tensor.copy_(parts["average"][name])
    _load_moments(state.optimiser, parts["moments"], where)
    state.step = int(notes["step"])


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for index, parameter in enumerate(_parameters(optimiser)):
        for name, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{index}.{name}"] = torch.as_tensor(value).detach().contiguous()
    return tensors


def _load_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], where: Path | str) -> None:
    parameters = _parameters(optimiser)
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        if int(index) >= len(parameters):
            raise WeightsError(f"{where}: the optimiser's moments belong to other networks; remove the folder")
        parameter = parameters[int(index)]
        if name != "step":  # as the parameter lies in memory, so that the next step is computed in the same order
            value = torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)
        optimiser.state[parameter][name] = value


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def keep_plan(path: Path, text: str, other: str) -> None:
    """Write down what a run is, whole or not at all, for several processes may start at once.

    Raises:
        RecipeError: another plan is there already; `other` says what to do.
    """
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RecipeError(f"{path}: {other}")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
