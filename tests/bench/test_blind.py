"""A blind restorer is a file of weights; a stand-in of the same calls plays spandrel, which brings torchvision."""

import sys
from pathlib import Path

import pytest
import torch

from keepface.bench.blind import BlindRestorer
from keepface.errors import MissingExtraError, WeightsError
from keepface.weights.store import sha256, write_safetensors

STAND_IN = '''
from types import SimpleNamespace

import torch


class ImageModelDescriptor:
    """Doubles the side and adds what the file says."""

    architecture = SimpleNamespace(name="Adder")
    size_requirements = SimpleNamespace(minimum=24, multiple_of=16)

    def __init__(self, bias):
        self.bias, self.seen = bias, []

    def eval(self):
        return self

    def __call__(self, image):
        self.seen.append(tuple(image.shape))
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2) + self.bias


class ModelLoader:
    def __init__(self, device):
        pass

    def load_from_state_dict(self, tensors):
        if "mask" in tensors:
            return SimpleNamespace()
        if "bias" not in tensors:
            raise ValueError("no known layout\\nof 50")
        return ImageModelDescriptor(tensors["bias"])
'''
CPU = torch.device("cpu")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spandrel.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spandrel", raising=False)


def weights(folder: Path, name: str = "bias") -> Path:
    path = folder / "adder.safetensors"
    write_safetensors({name: torch.tensor(0.25)}, path, {})
    return path


def test_a_network_of_another_size_gives_squares_of_the_size_given(stand_in: None, tmp_path: Path) -> None:
    path = weights(tmp_path)
    restorer = BlindRestorer.load(path, CPU)
    restored = restorer.restore(torch.full((2, 3, 20, 20), 0.5))
    assert restored.shape == (2, 3, 20, 20)
    assert torch.allclose(restored, torch.full_like(restored, 0.75), atol=1e-5)
    assert restorer._network.seen == [(1, 3, 32, 32)] * 2
    assert restorer.card == {"architecture": "Adder", "file": path.name, "sha256": sha256(path)}


def test_what_is_no_restorer_says_so(stand_in: None, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="spandrel can't load it: no known layout$"):
        BlindRestorer.load(weights(tmp_path, "other"), CPU)
    with pytest.raises(WeightsError, match="is a SimpleNamespace, which takes more than a picture"):
        BlindRestorer.load(weights(tmp_path, "mask"), CPU)


def test_a_pickle_is_refused_before_anything_else_and_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    pickle = tmp_path / "gfpgan.pth"
    pickle.write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError, match="is a pickle, which can run code as it is read"):
        BlindRestorer.load(pickle, CPU)
    with pytest.raises(MissingExtraError, match=r"pip install 'keepface\[blind\]'"):
        BlindRestorer.load(weights(tmp_path), CPU)
