"""One person's file: what it holds, that it comes back and goes without a trace, and what is refused."""

import copy
from pathlib import Path

import pytest
import torch

from keepface.diffusion.family import Family
from keepface.errors import WeightsError
from keepface.methods.pfstorer import PFStorer
from keepface.train.fresh import fresh_family
from keepface.weights.store import read_metadata, read_safetensors, write_safetensors

from ..methods.pfstorer_toy import PERSON, PFSTORER_METHOD, open_gamma, opened, photos_of, restore
from ..toy import FAMILY


@pytest.fixture(scope="module")
def made() -> PFStorer:
    return opened()


@pytest.fixture
def method(made: PFStorer) -> PFStorer:
    return copy.deepcopy(made)


def two_people(method: PFStorer, folder: Path) -> tuple[Path, Path]:
    paths = []
    for person in (0, 1):
        method.begin_person(photos_of(person), "personal", seed=person)
        open_gamma(method, person)
        paths.append(folder / f"{person}.safetensors")
        method.save_adapter(paths[-1], {"steps": "500"}, torch.float32)
    return paths[0], paths[1]


def test_people_are_swapped_and_unloaded_without_touching_the_base(method: PFStorer, tmp_path: Path) -> None:
    base, weights = restore(method, [None]), method.base_hash()
    first, second = two_people(method, tmp_path)
    method.load_adapter(first)
    found = restore(method, [PERSON])
    method.load_adapter(second)
    other = restore(method, [PERSON])
    method.load_adapter(first)
    assert torch.equal(restore(method, [PERSON]), found) and not torch.allclose(found, other, atol=1e-3)
    method.unload_adapter()
    assert torch.equal(restore(method, [None]), base) and method.base_hash() == weights


def test_a_persons_file_holds_what_it_says_and_comes_back(method: PFStorer, tmp_path: Path) -> None:
    path = tmp_path / "anna.safetensors"
    method.begin_person(photos_of(0), "personal", seed=0)
    open_gamma(method)
    found = restore(method, [PERSON])
    method.save_adapter(path, {"steps": "500", "rates": "0.005"}, torch.float32)
    tensors, told = read_safetensors(path), read_metadata(path)
    assert {name.split(".")[0] for name in tensors} == {"gamma", "blocks", "token", "ref_latents"}
    assert tensors["token.S*"].shape == (32,) and tensors["ref_latents"].shape == (3, 4, 4, 4)
    assert told["base"] == method.base_hash() and told["steps"] == "500" and told["prompt"] == "a photo of *"
    method.unload_adapter()
    method.load_adapter(path)
    assert torch.equal(restore(method, [PERSON]), found)
    method.save_adapter(path, {})  # in half precision
    method.load_adapter(path)
    torch.testing.assert_close(restore(method, [PERSON]), found, atol=0.05, rtol=0)


def test_a_base_has_one_fingerprint_in_every_precision(method: PFStorer, tmp_path: Path) -> None:
    method.family.save_pretrained(tmp_path)
    method.save(tmp_path)
    cpu = torch.device("cpu")
    hashes = {
        PFStorer.load(Family.from_pretrained(tmp_path, cpu, dtype)).base_hash()
        for dtype in (torch.float32, torch.float16, torch.bfloat16)
    }
    assert hashes == {method.base_hash()}


def test_foreign_and_damaged_files_are_refused_with_the_reason_and_whoever_is_loaded_stays(
    method: PFStorer, tmp_path: Path
) -> None:
    path, _ = two_people(method, tmp_path)
    method.load_adapter(path)
    found = restore(method, [PERSON])
    tensors, told, aside = read_safetensors(path), read_metadata(path), tmp_path / "aside.safetensors"

    def refused(why: str) -> None:
        with pytest.raises(WeightsError, match=why):
            method.load_adapter(aside)
        assert torch.equal(restore(method, [PERSON]), found)

    aside.write_bytes(path.read_bytes()[:-50])
    refused("damaged")
    write_safetensors(tensors | {"token.S*": tensors["token.S*"] + 1}, aside, told)
    refused("damaged: its tensors are not those that were written")
    write_safetensors(tensors, aside, told | {"base": "0" * 64})
    refused(r"learned over another base \(000000000000\) than family 'tiny'")
    write_safetensors(tensors, aside, {"format": "pt"})
    refused("is no file of a person")
    other = PFStorer.begin(fresh_family(FAMILY, seed=1), PFSTORER_METHOD, seed=0)
    with pytest.raises(WeightsError, match="another base"):
        other.load_adapter(path)
    with torch.no_grad():
        next(iter(method.sft.parameters())).add_(1)
    with pytest.raises(WeightsError, match="tune the person again over this one"):
        method.load_adapter(path)
