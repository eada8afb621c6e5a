import math

import pytest
import torch

from keepface.identity.compare import cosine, to_references


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, 180])
def test_the_cosine_of_two_directions_is_that_of_their_angle(degrees: int) -> None:
    angle = math.radians(degrees)
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([math.cos(angle), math.sin(angle)])
    assert float(cosine(a, b)) == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_lengths_of_the_vectors_do_not_matter() -> None:
    a, b = torch.tensor([1.0, 2.0, -3.0]), torch.tensor([0.5, -1.0, 4.0])
    assert float(cosine(7 * a, 0.01 * b)) == pytest.approx(float(cosine(a, b)), abs=1e-6)


def test_a_vector_without_length_is_like_nothing() -> None:
    assert float(cosine(torch.zeros(4), torch.ones(4))) == 0


def test_many_pairs_are_compared_one_by_one() -> None:
    a, b = torch.eye(3), torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, -2]])
    assert cosine(a, b).tolist() == [1, 0, -1]


def test_likeness_to_references_is_the_mean_of_their_cosines() -> None:
    references = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [3.0, 4.0]])
    assert to_references(torch.tensor([1.0, 0.0]), references) == pytest.approx((1 + 0 - 1 + 0.6) / 4)


def test_the_order_of_the_references_does_not_matter() -> None:
    references = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    assert to_references(references[0], references) == pytest.approx(to_references(references[0], references.flip(0)))
