import numpy as np
import pytest

from keepface.metrics.distribution import frechet, frechet_of_features


def test_gaussians_along_the_axes_have_a_closed_form() -> None:
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    apart = np.array([1.0, -2.0, 0.0])
    expected = 5 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet(np.zeros(3), np.diag(a), apart, np.diag(b)) == pytest.approx(expected)


def test_equal_gaussians_are_at_distance_zero_whatever_their_axes() -> None:
    roots = np.random.default_rng(0).normal(size=(4, 4))
    covariance = roots @ roots.T
    assert frechet(np.ones(4), covariance, np.ones(4), covariance) == pytest.approx(0, abs=1e-9)


def test_turning_both_gaussians_together_changes_nothing() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    a, b = np.diag([1.0, 2.0, 3.0]), np.diag([3.0, 0.5, 1.0])
    mean = np.array([1.0, 2.0, 3.0])
    turned = frechet(turn @ mean, turn @ a @ turn.T, np.zeros(3), turn @ b @ turn.T)
    assert turned == pytest.approx(frechet(mean, a, np.zeros(3), b))


@pytest.mark.parametrize("count", [5, 40])
def test_features_are_measured_as_the_gaussians_that_fit_them(count: int) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(count, 8)), 1.5 * rng.normal(size=(count + 3, 8)) + 0.5
    expected = frechet(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
    assert frechet_of_features(a, b) == pytest.approx(expected, abs=1e-6)


def test_a_shift_of_every_feature_costs_its_square() -> None:
    a = np.random.default_rng(3).normal(size=(20, 6))
    assert frechet_of_features(a, a + [3.0, 4.0, 0, 0, 0, 0]) == pytest.approx(25)


def test_few_pictures_of_one_distribution_are_further_apart_than_many() -> None:
    rng = np.random.default_rng(4)
    few, more, many = (frechet_of_features(*rng.normal(size=(2, count, 16))) for count in (10, 100, 1000))
    assert few > 3 * more > 9 * many
