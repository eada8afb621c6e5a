"""A tiny family, a restorer over it and toy people, made once by the code that makes the real ones."""

import copy
from pathlib import Path

import pytest
import torch

from keepface.data.prepare import Pack, prepare
from keepface.diffusion.family import Family
from keepface.engine.restorer import Restorer
from keepface.methods.faceme import FaceMe
from keepface.seeds import generator
from keepface.train.fresh import fresh_family

from .toy import FAMILY, METHOD, SIZE, ColourFeatures, ToyPeople


@pytest.fixture(scope="session")
def tiny_family_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete family of 32 px with FaceMe's parts, its weights random; the ControlNet's residuals are not zero."""
    folder: Path = tmp_path_factory.mktemp("families") / "tiny"
    family = fresh_family(FAMILY, seed=0)
    method = FaceMe.begin(family, METHOD, seed=0)
    method.trainable("stage2")
    rng = generator(0, "opened")
    with torch.no_grad():  # as training would open them
        for block in (*method.controlnet.controlnet_down_blocks, method.controlnet.controlnet_mid_block):
            block.weight.copy_(0.3 * torch.randn(block.weight.shape, generator=rng))
        out = method.controlnet.controlnet_cond_embedding.conv_out.weight
        out.copy_(0.3 * torch.randn(out.shape, generator=rng))
    family.save_pretrained(folder)
    method.save(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_restorer(tiny_family_folder: Path) -> Restorer:
    """A restorer over the tiny family, with the real detector and recognisers; nobody may change its weights."""
    return Restorer.from_pretrained(tiny_family_folder, device="cpu")


@pytest.fixture(scope="session")
def loaded_method(tiny_family_folder: Path) -> FaceMe:
    return FaceMe.load(Family.from_pretrained(tiny_family_folder))


@pytest.fixture
def tiny_method(loaded_method: FaceMe) -> FaceMe:
    """The tiny family's FaceMe, for one test alone."""
    return copy.deepcopy(loaded_method)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packs train/ (10 people, 3 drawn photos each) and val/ (3 others, 2 each)."""
    folder: Path = tmp_path_factory.mktemp("toy")
    prepare(ToyPeople(10, 3), folder / "train", SIZE, ColourFeatures())
    prepare(ToyPeople(3, 2, first=10), folder / "val", SIZE, ColourFeatures())
    return folder


@pytest.fixture(scope="session")
def toy_pack(toy_data: Path) -> Pack:
    """Thirty drawn photos of ten toy people, with features."""
    return Pack(toy_data / "train")
