import torch

from keepface.degrade.resample import bilinear


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
