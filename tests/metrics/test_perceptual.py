import math

import pytest
import torch

from keepface.identity.image_encoder import ImageEncoder
from keepface.metrics.perceptual import PerceptualDistance, stage_distance


@pytest.fixture(scope="module")
def distance() -> PerceptualDistance:
    return PerceptualDistance(ImageEncoder.load())


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("degrees", [0, 60, 90, 180])
def test_the_distance_of_two_features_is_that_of_their_angle(degrees: int) -> None:
    angle = math.radians(degrees)
    x = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    y = 5 * torch.tensor([math.cos(angle), math.sin(angle)]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    assert float(stage_distance(x, y)) == pytest.approx(2 - 2 * math.cos(angle), abs=1e-5)


def test_a_stage_is_the_mean_over_its_places() -> None:
    x, y = torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4)
    x[:, 0], y[:, 0, :, :3], y[:, 1, :, 3] = 1, 1, 1  # three equal places, one at a right angle
    assert float(stage_distance(x, y)) == pytest.approx(2 / 4)


def test_equal_pictures_are_at_distance_zero(distance: PerceptualDistance) -> None:
    assert distance(picture(2, 3, 64, 64), picture(2, 3, 64, 64)).tolist() == [0, 0]


def test_the_distance_is_symmetric_and_within_its_range(distance: PerceptualDistance) -> None:
    a, b = picture(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    assert torch.allclose(distance(a, b), distance(b, a))
    assert 0 < float(distance(a, b)) < 4


def test_more_blur_is_further_away(distance: PerceptualDistance) -> None:
    sharp = picture(1, 3, 8, 8).repeat_interleave(8, -1).repeat_interleave(8, -2)
    blurred = [torch.nn.functional.avg_pool2d(sharp, k, 1, k // 2, count_include_pad=False) for k in (3, 7, 15)]
    light, medium, heavy = (float(distance(sharp, item)) for item in blurred)
    assert 0 < light < medium < heavy


def test_a_batch_is_measured_as_its_items_are(distance: PerceptualDistance) -> None:
    a, b = picture(2, 3, 32, 32), picture(2, 3, 32, 32, seed=1)
    assert float(distance(a, b)[1]) == pytest.approx(float(distance(a[1:], b[1:])), abs=1e-5)


def test_it_can_be_a_loss_even_where_it_is_zero(distance: PerceptualDistance) -> None:
    truth = picture(1, 3, 32, 32)
    flat = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    distance(flat, truth).sum().backward()
    assert flat.grad is not None and bool(flat.grad.isfinite().all()) and float(flat.grad.abs().max()) > 0
    same = truth.clone().requires_grad_()
    distance(same, truth).sum().backward()
    assert same.grad is not None and bool(same.grad.isfinite().all())
