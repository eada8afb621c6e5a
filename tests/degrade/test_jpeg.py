import torch

from keepface.degrade.jpeg import jpeg


def smooth_picture() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    return torch.stack([x, y, 0.5 + 0.4 * torch.sin(9 * x * y)])


def test_lower_quality_is_further_from_the_picture():
    errors = [(jpeg(smooth_picture(), quality) - smooth_picture()).square().mean() for quality in (95, 70, 40, 15, 5)]
    assert errors == sorted(errors)


def test_quality_100_of_grey_is_within_one_level():
    grey = smooth_picture().mean(0, keepdim=True).expand(3, -1, -1).contiguous()
    assert ((jpeg(grey, 100) - grey).abs() * 255).max() <= 1.6  # rounding in, the transform's, rounding out


def test_colours_keep_their_order():
    red = torch.zeros(3, 16, 16)
    red[0] = 1
    channels = jpeg(red, 90).mean((1, 2))
    assert channels[0] > 0.95
    assert channels[1:].max() < 0.05


def test_the_result_has_eight_bits():
    levels = jpeg(smooth_picture(), 60) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
