import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from keepface.data.pool_pack import read_log
from keepface.data.pools import PoolSettings
from keepface.data.prepare import Pack, prepare
from keepface.diffusion.family import Family
from keepface.errors import DataError, RecipeError, WeightsError
from keepface.train.pool import PoolRun, load_generator, run_pool
from keepface.train.synthesiser import SynthesisSettings

from ..toy import ColourFeatures, ToyPeople

FEW = PoolSettings(poses=1, expressions=1, limit=2, batch=2)
NOISE_ALONE = SynthesisSettings(steps=2, pose_strength=0.0)


def run(delta: float, synthesis: SynthesisSettings = NOISE_ALONE) -> PoolRun:
    return PoolRun("faceme", PoolSettings(**{**vars(FEW), "delta": delta}), synthesis, device="cpu")


@pytest.fixture
def young_family(tiny_family_folder: Path, tmp_path: Path) -> Path:
    """The tiny family as the phase `base` leaves it: with an identity encoder and without a ControlNet."""
    shutil.copytree(tiny_family_folder, tmp_path / "young")
    shutil.rmtree(tmp_path / "young" / "faceme" / "controlnet")
    return tmp_path / "young"


def test_untrained_weights_draw_no_face_and_so_nobody_passes(
    toy_data: Path, tiny_family_folder: Path, tmp_path: Path
) -> None:
    summary = run_pool(toy_data / "train", tmp_path / "out", tiny_family_folder, run(0.5))
    assert (summary.accepted, summary.tries, summary.per_cell) == (0, 6, (0,))
    assert len(Pack(tmp_path / "out")) == len(Pack(toy_data / "train"))


def test_with_nothing_asked_of_them_all_join_with_the_networks_features(
    toy_data: Path, young_family: Path, tmp_path: Path
) -> None:
    summary = run_pool(toy_data / "train", tmp_path / "out", young_family, run(-1.0))
    assert (summary.accepted, summary.tries) == (2, 2)
    pack, old = Pack(tmp_path / "out"), len(Pack(toy_data / "train"))
    assert pack.identities[old:] == pack.identities[:2] and pack.sources[old:] == ["synthetic"] * 2
    assert torch.allclose(pack.features["recogniser"][:, old:].norm(dim=2), torch.ones(2, 2), atol=1e-5)
    assert [line["tries"] for line in read_log(tmp_path / "out")] == [1, 1]
    assert not np.array_equal(pack.images[old], pack.images[old + 1])


def test_a_family_without_a_controlnet_takes_no_pose_and_says_what_to_do(young_family: Path) -> None:
    family = Family.from_pretrained(young_family)
    with pytest.raises(WeightsError, match="--pose-strength 0"):
        load_generator("faceme", family, SynthesisSettings())
    assert load_generator("faceme", family, NOISE_ALONE).name == "faceme"


def test_a_family_that_was_never_trained_for_a_method_is_refused(young_family: Path) -> None:
    shutil.rmtree(young_family / "faceme")
    with pytest.raises(WeightsError, match="keepface train"):
        load_generator("faceme", Family.from_pretrained(young_family), NOISE_ALONE)
    with pytest.raises(RecipeError, match="'other' is unknown"):
        load_generator("other", Family.from_pretrained(young_family), NOISE_ALONE)


def test_squares_of_another_size_are_refused_with_the_command_for_the_right_one(
    tiny_family_folder: Path, tmp_path: Path
) -> None:
    prepare(ToyPeople(2, 1), tmp_path / "large", 64, ColourFeatures())
    with pytest.raises(DataError, match="--size 32"):
        run_pool(tmp_path / "large", tmp_path / "out", tiny_family_folder, run(0.5))


def test_a_method_that_draws_no_new_faces_is_refused_with_those_that_do(tiny_family_folder: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    with pytest.raises(RecipeError, match="method 'ridfr' draws no new faces; use one of faceme"):
        load_generator("ridfr", family, SynthesisSettings())
