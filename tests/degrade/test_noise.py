import pytest
import torch

from keepface.degrade.noise import gaussian_noise


def test_noise_has_the_sigma_it_was_asked_for_in_8_bit_levels():
    image = torch.full((3, 128, 128), 0.5)
    noise = gaussian_noise(image, 12.0, seed=1) - image
    assert noise.std().item() * 255 == pytest.approx(12.0, rel=0.02)
    assert noise.mean().item() * 255 == pytest.approx(0, abs=0.2)


def test_noise_differs_between_the_colours():
    noise = gaussian_noise(torch.full((3, 64, 64), 0.5), 10.0, seed=1)
    assert abs(torch.corrcoef(noise.flatten(1))[0, 1].item()) < 0.05


def test_the_same_seed_is_the_same_field_and_another_seed_another():
    image = torch.full((3, 16, 16), 0.5)
    assert torch.equal(gaussian_noise(image, 10.0, seed=3), gaussian_noise(image, 10.0, seed=3))
    assert not torch.equal(gaussian_noise(image, 10.0, seed=3), gaussian_noise(image, 10.0, seed=4))


def test_noise_never_leaves_the_range():
    noisy = gaussian_noise(torch.tensor([0.0, 1.0]).repeat(3, 32, 16), 200.0, seed=0)
    assert noisy.min() == 0
    assert noisy.max() == 1
