import pytest
import torch

from keepface.degrade.resample import bilinear, sample


def test_halving_is_the_mean_of_two_by_two_blocks():
    image = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(0))
    wanted = image.unflatten(1, (4, 2)).unflatten(3, (6, 2)).mean((2, 4))
    assert torch.allclose(bilinear(image, 4, 6), wanted, atol=1e-6)


def test_a_ramp_stays_a_ramp_between_the_outer_pixel_centres():
    ramp = torch.linspace(0, 1, 8).expand(3, 8, 8).contiguous()
    wide = bilinear(ramp, 8, 16)
    step = wide[0, 0].diff()[1:-1]
    assert torch.allclose(step, torch.full_like(step, 1 / 14), atol=1e-6)


def test_shrinking_by_four_aliases_as_the_published_chain_does():
    stripes = (torch.arange(16) % 4 == 0).float().expand(3, 16, 16).contiguous()
    assert bilinear(stripes, 4, 4).max() == 0  # the bright lines fall between the samples


def test_its_own_size_changes_nothing():
    image = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(bilinear(image, 9, 7), image)


@pytest.mark.parametrize(("height", "width"), [(10, 7), (33, 50)])
def test_both_ways_to_sample_bilinearly_agree(height, width):
    image = torch.rand(3, 20, 31, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(sample(image, height, width, "bilinear"), bilinear(image, height, width), atol=2e-6)


def test_area_is_the_mean_of_whole_blocks():
    image = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    wanted = image.unflatten(1, (3, 4)).unflatten(3, (3, 4)).mean((2, 4))
    assert torch.allclose(sample(image, 3, 3, "area"), wanted, atol=1e-6)


def test_a_point_enlarged_is_keys_cubic():
    image = torch.zeros(3, 9, 9)
    image[:, :, 4] = 1
    distance = (torch.arange(18) + 0.5) / 2 - 0.5 - 4
    x = distance.abs()
    near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)  # a = -0.75
    wanted = torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros(18)))
    assert torch.allclose(sample(image, 18, 18, "bicubic")[0, 9], wanted, atol=1e-6)
