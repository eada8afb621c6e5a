"""Read a published pickle once, so that it can be written as safetensors.

torch's restricted unpickler builds tensors, numbers and texts only; anything else in the file is refused by name.
"""

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keepface.errors import WeightsError


def read_pickle(path: Path, inert: Sequence[str] = ()) -> dict[str, Tensor]:
    """Read every tensor of a pickled release by its dotted name (`id_encoder.visual_projection.weight`).

    Tables and lists within tables give the parts of a name; what is no tensor (a step count, a version) is left out.
    Files of torch 1.6 and later are mapped, not read: memory is used for what is looked at.

    Args:
        inert: full names of classes that a known release mentions beside its weights (a trainer's callback, say).
            An empty stand-in takes their place; the named code is neither imported nor run.

    Raises:
        WeightsError: the file is missing or damaged, holds anything that could run code, or holds no tensors.
    """
    stand_ins: list[Any] = [(_stand_in(name), name) for name in inert]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            warnings.simplefilter("ignore")  # of storages that old releases keep in a deprecated class
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file of weights") from None
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, as it holds more than weights: {_unwanted(path, error)}") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: is no pickle of weights, or damaged ({reason}); fetch or copy it again") from None
    tensors = dict(_tensors(content, ""))
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors; it is no file of weights")
    return tensors


def _tensors(content: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield prefix or "tensor", content.detach()
    pairs: Any = ()
    if isinstance(content, Mapping):
        pairs = content.items()
    elif isinstance(content, list | tuple):
        pairs = enumerate(content)
    for name, part in pairs:
        yield from _tensors(part, f"{prefix}.{name}" if prefix else str(name))


def _stand_in(name: str) -> type:
    """Make a class that takes anything and does nothing, under a published class's last name."""

    def ignore(self: Any, *given: Any) -> None:
        return None

    return type(name.rpartition(".")[2], (), {"__init__": ignore, "__setstate__": ignore})


def _unwanted(path: Path, error: Exception) -> str:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError):
        names = []
    return ", ".join(sorted(names)) if names else str(error).splitlines()[0][:200]
