import math

import pytest
import torch

from keepface.metrics.variance import pairwise_distance, total_variance


def fan(degrees: float) -> torch.Tensor:
    angle = math.radians(degrees)
    return torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])


def test_equal_embeddings_do_not_vary() -> None:
    same = torch.tensor([[0.6, 0.8]] * 4)
    assert total_variance(same) == pytest.approx(0, abs=1e-7)
    assert pairwise_distance(same) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("degrees", [10.0, 60.0, 90.0, 180.0])
def test_of_two_embeddings_both_are_told_by_their_angle(degrees: float) -> None:
    cosine = math.cos(math.radians(degrees))
    assert pairwise_distance(fan(degrees)) == pytest.approx(1 - cosine, abs=1e-6)
    assert total_variance(fan(degrees)) == pytest.approx((1 - cosine) / 2, abs=1e-6)


def test_the_two_forms_differ_by_a_factor_of_the_count() -> None:
    for count in (2, 4, 10):
        many = torch.randn(count, 16, generator=torch.Generator().manual_seed(count))
        assert total_variance(many) == pytest.approx((1 - 1 / count) * pairwise_distance(many), abs=1e-9)


def test_the_total_variance_is_the_mean_square_distance_from_the_mean() -> None:
    units = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    expected = (units - units.mean(0)).square().sum(1).mean()
    assert total_variance(units) == pytest.approx(float(expected), abs=1e-6)


def test_length_does_not_count_and_one_embedding_does_not_vary() -> None:
    assert total_variance(fan(60) * torch.tensor([[5.0], [0.1]])) == pytest.approx(total_variance(fan(60)), abs=1e-6)
    assert pairwise_distance(fan(60)[:1]) == 0
