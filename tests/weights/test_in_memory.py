"""Safetensors in memory are those of a file, byte for byte, and what is no such thing is refused."""

from pathlib import Path

import pytest
import torch

from keepface.errors import WeightsError
from keepface.weights.in_memory import from_bytes, to_bytes
from keepface.weights.store import read_metadata, read_safetensors, write_safetensors

BASE = torch.arange(6.0).reshape(2, 3)
TENSORS = {"a": BASE, "b": BASE.t(), "same memory": BASE, "half": BASE.half(), "number": torch.tensor(3)}


def test_what_is_packed_comes_back_and_is_what_a_file_holds(tmp_path: Path) -> None:
    data = to_bytes(TENSORS, {"who": "Ännä"})
    tensors, told = from_bytes(data, "here")
    assert told == {"who": "Ännä"} and tensors.keys() == TENSORS.keys()
    assert all(
        torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype for name, tensor in TENSORS.items()
    )
    write_safetensors(TENSORS, tmp_path / "file.safetensors", {"who": "Ännä"})
    assert (tmp_path / "file.safetensors").read_bytes() == data
    assert read_metadata(tmp_path / "file.safetensors") == told
    assert read_safetensors(tmp_path / "file.safetensors").keys() == tensors.keys()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", to_bytes(TENSORS, {})[:-1], b"\xff" * 40], ids=len)
def test_what_is_no_safetensors_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(WeightsError, match="here: the weights are damaged"):
        from_bytes(data, "here")
