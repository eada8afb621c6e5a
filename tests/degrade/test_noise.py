import pytest
import torch

from keepface.degrade.noise import gaussian_noise, poisson_noise


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


def ramp(side: int = 256) -> torch.Tensor:
    """Every 8-bit level once a row, so that white is 256 counts."""
    return (torch.arange(side) / 255).clamp(max=1).expand(3, side, side).contiguous()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_counted_light_is_off_by_the_root_of_its_brightness(scale):
    noise = (poisson_noise(ramp(), scale, seed=3) - ramp())[:, :, 60:180]
    wanted = scale**2 * ramp()[0, 0, 60:180] / 256
    assert noise.var(dim=(0, 1)).div(wanted).mean().item() == pytest.approx(1, abs=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=4 * (wanted.mean().item() / noise.numel()) ** 0.5)


def test_a_picture_of_two_levels_is_counted_in_two_photons():
    image = torch.tensor([0.0, 1.0]).repeat(3, 8, 4)
    levels = poisson_noise(image * 0.5, 1.0, seed=0) * 2
    assert torch.allclose(levels, levels.round(), atol=0.01)  # rounding to 8 bits moves it by 1/255


@pytest.mark.parametrize("add", [gaussian_noise, poisson_noise])
def test_grey_noise_is_the_same_in_all_colours_and_as_strong_as_coloured(add):
    image = ramp(256)
    strength = 9.0 if add is gaussian_noise else 0.6
    grey, coloured = (add(image, strength, 5, grey=grey) - image for grey in (True, False))
    inside = slice(80, 170)  # where nothing is clipped
    assert torch.allclose(grey[0, :, inside], grey[1, :, inside], atol=1e-6)
    assert torch.allclose(grey[0, :, inside], grey[2, :, inside], atol=1e-6)
    assert grey[:, :, inside].std().item() == pytest.approx(coloured[:, :, inside].std().item(), rel=0.03)


def test_counting_depends_on_the_seed_alone():
    assert torch.equal(poisson_noise(ramp(64), 1.0, 3), poisson_noise(ramp(64), 1.0, 3))
    assert not torch.equal(poisson_noise(ramp(64), 1.0, 3), poisson_noise(ramp(64), 1.0, 4))
