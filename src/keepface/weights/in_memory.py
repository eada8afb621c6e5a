"""Safetensors as bytes, for files that are sealed before they reach a disk."""

import json
from collections.abc import Mapping

import safetensors
import safetensors.torch
from torch import Tensor

from keepface.errors import WeightsError

LENGTH_BYTES = 8  # of a safetensors header's length, which comes first
DAMAGED = (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Serialise tensors and a text table."""
    ready: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        # Two names for one memory are no layout of safetensors: the second gets memory of its own.
        shared = plain.numel() > 0 and plain.untyped_storage().data_ptr() in stored
        ready[name] = plain.clone() if shared else plain
        stored.add(ready[name].untyped_storage().data_ptr())
    return bytes(safetensors.torch.save(ready, metadata=dict(metadata)))


def from_bytes(data: bytes, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read back tensors and text table; `where` names the bytes in errors.

    Raises:
        WeightsError: the bytes are no safetensors, or not all of them.
    """
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
        return tensors, dict(header.get("__metadata__", {}))
    except DAMAGED as error:
        raise WeightsError(f"{where}: the weights are damaged ({error}); fetch or copy the file again") from None
