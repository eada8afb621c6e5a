import pickle
from pathlib import Path

import pytest
import torch

from keepface.errors import WeightsError
from keepface.weights.pickles import read_pickle


class Callback:
    """What a trainer might leave in its checkpoint."""

    def __init__(self, best: float) -> None:
        self.best = best


class Attack:
    """Write a file as it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.write_text, (self.target, "run"))


def test_tensors_come_back_by_their_dotted_names_and_nothing_else_does(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}
    torch.save({"model": tensors, "layers": [torch.zeros(1)], "step": 7, "version": "1"}, tmp_path / "release.bin")
    found = read_pickle(tmp_path / "release.bin")
    assert set(found) == {"model.a", "model.b", "layers.0"}
    assert all(torch.equal(found[f"model.{name}"], tensor) for name, tensor in tensors.items())
    assert found["model.b"].dtype == torch.float16


def test_files_of_the_older_form_are_read_too(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3.0)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_pickle(tmp_path / "old.pth")["a"], torch.arange(3.0))


def test_a_file_that_would_run_code_is_refused_by_name_and_runs_none(tmp_path: Path) -> None:
    target = tmp_path / "written"
    torch.save({"a": torch.zeros(1), "b": Attack(target)}, tmp_path / "attack.bin")
    with pytest.raises(WeightsError, match="attack.bin: refused, as it holds more than weights: .*builtins.getattr"):
        read_pickle(tmp_path / "attack.bin")
    assert not target.exists()


def test_a_class_is_refused_unless_its_name_is_known_and_then_an_empty_one_stands_for_it(tmp_path: Path) -> None:
    path, name = tmp_path / "trainer.ckpt", f"{Callback.__module__}.{Callback.__qualname__}"
    torch.save({"state_dict": {"a": torch.ones(1)}, "callbacks": {Callback: Callback(0.5)}}, path)
    with pytest.raises(WeightsError, match="Callback"):
        read_pickle(path)
    assert list(read_pickle(path, inert=(name,))) == ["state_dict.a"]
    with pytest.raises(WeightsError, match="Callback"):  # what was allowed once is not allowed for good
        read_pickle(path)


@pytest.mark.parametrize("content", [b"", b"no pickle at all", b"PK\x03\x04 cut off", pickle.dumps({"a": 1})])
def test_what_is_no_release_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(content)
    with pytest.raises(WeightsError, match="file.bin"):
        read_pickle(tmp_path / "file.bin")


def test_a_missing_file_and_one_without_tensors_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file of weights"):
        read_pickle(tmp_path / "nowhere.bin")
    torch.save({"step": 3}, tmp_path / "steps.bin")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_pickle(tmp_path / "steps.bin")
