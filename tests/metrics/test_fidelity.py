import math

import pytest
import torch

from keepface.metrics.fidelity import psnr, ssim


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def constant(value: float, size: int = 16) -> torch.Tensor:
    return torch.full((3, size, size), value)


@pytest.mark.parametrize(("a", "b", "decibel"), [(0.5, 0.6, 20.0), (0.0, 1.0, 0.0), (0.25, 0.26, 40.0)])
def test_psnr_of_two_constants_is_arithmetic(a: float, b: float, decibel: float) -> None:
    assert float(psnr(constant(a), constant(b))) == pytest.approx(decibel, abs=1e-4)


def test_psnr_counts_all_three_channels_alike() -> None:
    for channel in range(3):
        other = constant(0.5)
        other[channel] += 0.1
        assert float(psnr(constant(0.5), other)) == pytest.approx(20 + 10 * math.log10(3), abs=1e-4)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert float(psnr(picture(3, 12, 12), picture(3, 12, 12))) == math.inf


def test_psnr_of_gaussian_noise_is_minus_twenty_log_sigma() -> None:
    noise = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(1))
    assert float(psnr(constant(0.5, 128), constant(0.5, 128) + 0.01 * noise)) == pytest.approx(40.0, abs=0.1)


def test_ssim_of_equal_pictures_is_one() -> None:
    assert float(ssim(picture(3, 24, 20), picture(3, 24, 20))) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.7), (0.0, 1.0), (0.9, 0.8)])
def test_ssim_of_two_constants_is_their_luminance_term(a: float, b: float) -> None:
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    assert float(ssim(constant(a), constant(b))) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_one_window_is_the_formula_with_gaussian_weights() -> None:
    grey = [picture(1, 11, 11, seed=seed).double() for seed in (1, 2)]
    offset = torch.arange(11).double() - 5
    weight = torch.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / 4.5)
    weight /= weight.sum()
    mean = [(weight * item).sum() for item in grey]
    variance = [(weight * (item - m) ** 2).sum() for item, m in zip(grey, mean, strict=True)]
    covariance = (weight * (grey[0] - mean[0]) * (grey[1] - mean[1])).sum()
    above = (2 * mean[0] * mean[1] + 1e-4) * (2 * covariance + 9e-4)
    below = (mean[0] ** 2 + mean[1] ** 2 + 1e-4) * (variance[0] + variance[1] + 9e-4)
    a, b = (item.expand(3, 11, 11) for item in grey)
    assert float(ssim(a, b)) == pytest.approx(float(above / below), abs=1e-9)


def test_ssim_of_an_inverted_picture_is_negative() -> None:
    a = picture(1, 32, 32).expand(3, 32, 32)
    assert float(ssim(a, 1 - a)) < -0.8


def test_ssim_is_symmetric_and_falls_with_noise() -> None:
    a, noise = picture(3, 32, 32, seed=3) * 0.5, picture(3, 32, 32, seed=4) - 0.5
    light, heavy = a + 0.1 * noise, a + 0.4 * noise
    assert float(ssim(a, light)) == pytest.approx(float(ssim(light, a)))
    assert float(ssim(a, heavy)) < float(ssim(a, light)) < 1


def test_ssim_looks_at_the_luma_alone() -> None:
    a = constant(0.5)
    shifted = a.clone()
    shifted[0] += 0.1 / 0.299  # red up and blue down by what leaves the luma as it was
    shifted[2] -= 0.1 / 0.114
    assert float(ssim(a, shifted)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_a_batch_is_measured_as_its_items_are(metric) -> None:  # type: ignore[no-untyped-def]
    a, b = picture(2, 2, 3, 16, 16, seed=5), picture(2, 2, 3, 16, 16, seed=6)
    together = metric(a, b)
    assert together.shape == (2, 2)
    assert float(together[1, 0]) == pytest.approx(float(metric(a[1, 0], b[1, 0])))
