import numpy as np
import pytest

from keepface.metrics.distribution import frechet_of_features


def textbook(a: np.ndarray, b: np.ndarray) -> float:
    """|m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)), the root by the eigenvalues of the product."""
    first, second = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.linalg.eigvals(first @ second).real.clip(min=0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second) - 2 * roots)


def test_features_along_the_axes_have_a_closed_form() -> None:
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * np.sqrt(3 / 4)  # unit covariance
    a, b, apart = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0]), np.array([1.0, -2.0, 0.0])
    assert frechet_of_features(signs * a, signs * b + apart) == pytest.approx(5 + ((a - b) ** 2).sum())


def test_turning_all_features_together_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    a, b = rng.normal(size=(9, 3)), rng.normal(size=(12, 3)) * [1.0, 2.0, 3.0]
    assert frechet_of_features(a @ turn, b @ turn) == pytest.approx(frechet_of_features(a, b))
    assert frechet_of_features(a, a @ np.eye(3)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [5, 40])
def test_features_are_measured_as_the_gaussians_that_fit_them(count: int) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(count, 8)), 1.5 * rng.normal(size=(count + 3, 8)) + 0.5
    assert frechet_of_features(a, b) == pytest.approx(textbook(a, b), abs=1e-5)


def test_a_shift_of_every_feature_costs_its_square() -> None:
    a = np.random.default_rng(3).normal(size=(20, 6))
    assert frechet_of_features(a, a + [3.0, 4.0, 0, 0, 0, 0]) == pytest.approx(25)


def test_few_pictures_of_one_distribution_are_further_apart_than_many() -> None:
    rng = np.random.default_rng(4)
    few, more, many = (frechet_of_features(*rng.normal(size=(2, count, 16))) for count in (10, 100, 1000))
    assert few > 3 * more > 9 * many
