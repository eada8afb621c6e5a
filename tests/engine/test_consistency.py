import math

import pytest
import torch
from torch import Tensor

from keepface.engine.consistency import MOST_DB, SHARES, consistency, fit_blur
from keepface.image.gaussian import gaussian

SIZE = 64


def squares(count: int) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(count))


def test_a_gaussian_keeps_a_flat_picture_and_has_the_variance_it_is_named_for() -> None:
    flat = torch.full((1, 3, SIZE, SIZE), 0.3)
    assert torch.allclose(gaussian(flat, 4.0), flat, atol=1e-6)
    point = torch.zeros(1, 3, SIZE, SIZE)
    point[..., 32, 32] = 1
    row = gaussian(point, 2.0)[0, 0].sum(0)
    place = torch.arange(SIZE) - 32.0
    assert float((row * place**2).sum()) == pytest.approx(4.0, rel=0.05)
    assert torch.equal(gaussian(point, 0.0), point)


@pytest.mark.parametrize("share", [0.0, SHARES[8], SHARES[13], SHARES[18]])
def test_the_blur_that_was_done_is_found_and_the_result_agrees_with_its_photo(share: float) -> None:
    restored = squares(2)
    sigma = share * SIZE
    low = gaussian(restored[:1], sigma)[0]
    assert fit_blur(low, restored[:1]) == pytest.approx(sigma)
    agreement = consistency(low, restored, sigma)
    assert float(agreement[0]) == MOST_DB
    assert float(agreement[1]) < 50


def test_the_difference_of_a_flat_picture_is_the_squared_step() -> None:
    low = torch.full((3, SIZE, SIZE), 0.5)
    restored = torch.full((1, 3, SIZE, SIZE), 0.6)
    assert float(consistency(low, restored, 3.0)) == pytest.approx(20.0, abs=1e-3)  # 10 log10(1 / 0.1^2)


def test_white_noise_on_the_photo_counts_only_by_what_the_blur_lets_through() -> None:
    sigma, spread = 2.0, 0.1
    restored = squares(1)
    noise = spread * torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(7))
    low = gaussian(restored, sigma)[0] + noise
    passed = spread**2 / (4 * math.pi * sigma**2)
    assert float(consistency(low, restored, sigma)) == pytest.approx(-10 * math.log10(passed), abs=1.0)
