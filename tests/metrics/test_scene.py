"""The fits are held to samples drawn from the distributions themselves, the normalisation to a plain loop."""

import math

import numpy as np
import pytest
import torch

from keepface.metrics.scene import Skewed, fit_skewed, halved, luma, normalised, products


def drawn(shape: float, left: float, right: float, count: int = 200_000) -> np.ndarray:
    """Draw from an asymmetric generalised Gaussian of scales (left, right): |x / beta|^shape is Gamma(1 / shape)."""
    rng = np.random.default_rng(1)
    size = rng.gamma(1 / shape, size=count) ** (1 / shape)
    is_left = rng.random(count) < left / (left + right)
    return np.where(is_left, -left * size, right * size)


@pytest.mark.parametrize(
    ("shape", "left", "right"), [(2.0, 1.0, 1.0), (1.0, 1.0, 1.0), (2.0, 0.5, 2.0), (0.7, 1.0, 1.5)]
)
def test_the_fit_finds_the_distribution_that_values_were_drawn_from(shape: float, left: float, right: float) -> None:
    found = fit_skewed(drawn(shape, left, right))
    assert found is not None
    assert found.shape == pytest.approx(shape, rel=0.03)
    assert found.scales == pytest.approx((left, right), rel=0.04)
    assert found.mean == pytest.approx(float(drawn(shape, left, right).mean()), abs=0.02)


def test_a_gaussian_has_shape_two_and_scales_of_root_two_sigma() -> None:
    found = fit_skewed(3 * np.random.default_rng(0).normal(size=200_000))
    assert found is not None
    assert found.shape == pytest.approx(2, abs=0.03)
    assert found.scales == pytest.approx((3 * math.sqrt(2), 3 * math.sqrt(2)), rel=0.02)


def test_the_scales_of_a_known_shape_are_a_ratio_of_gammas() -> None:
    laplace = Skewed(1.0, 2.0, 4.0)  # a Laplace distribution's root mean square is sqrt(2) times its scale
    assert laplace.scales == pytest.approx((math.sqrt(2), 2 * math.sqrt(2)))
    assert laplace.mean == pytest.approx(math.sqrt(2))  # half the difference of the scales times two


def test_values_of_one_kind_have_no_fit() -> None:
    assert fit_skewed(np.zeros((4, 4))) is None
    assert fit_skewed(np.ones(10)) is None


def test_normalising_is_what_a_plain_loop_over_windows_gives() -> None:
    grey = torch.rand(1, 9, 8, generator=torch.Generator().manual_seed(0))
    offsets = np.arange(-3, 4)
    line = np.exp(-(offsets**2) / (2 * (7 / 6) ** 2))
    window = np.outer(line, line) / line.sum() ** 2
    padded = np.pad(grey[0].double().numpy() * 255, 3)
    found = normalised(grey)
    for y, x in ((0, 0), (4, 4), (8, 7)):
        part = padded[y : y + 7, x : x + 7]
        mean = (window * part).sum()
        contrast = math.sqrt(abs((window * part**2).sum() - mean**2))
        assert found[y, x] == pytest.approx((part[3, 3] - mean) / (contrast + 1), abs=1e-4)


def test_products_are_of_a_value_and_the_one_before_it_round_the_edge() -> None:
    patch = np.arange(12, dtype=float).reshape(3, 4)
    down, across, falling, rising = products(patch)
    assert down[1, 2] == patch[1, 2] * patch[0, 2] and down[0, 2] == patch[0, 2] * patch[2, 2]
    assert across[1, 2] == patch[1, 2] * patch[1, 1]
    assert falling[1, 2] == patch[1, 2] * patch[0, 1]
    assert rising[1, 2] == patch[1, 2] * patch[0, 3]


def test_the_luma_weighs_green_most_and_half_the_size_is_half() -> None:
    red, green, blue = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 4, 6)
    assert [round(float(luma(one).mean()), 3) for one in (red, green, blue)] == [0.299, 0.587, 0.114]
    assert halved(luma(red)).shape == (1, 2, 3)
