import pytest
import torch

from keepface.degrade.median import median_blur


@pytest.mark.parametrize("size", [3, 5])
def test_each_pixel_becomes_the_middle_one_of_its_neighbours_in_its_own_colour(size):
    image = torch.rand(3, 12, 15, generator=torch.Generator().manual_seed(0))
    blocks = image.unfold(1, size, 1).unfold(2, size, 1).flatten(3)
    edge = size // 2
    assert torch.equal(median_blur(image, size)[:, edge:-edge, edge:-edge], blocks.median(dim=3).values)


def test_a_speck_goes_and_an_edge_stays():
    image = torch.zeros(3, 9, 9)
    image[:, :, 5:] = 1
    speckled = image.clone()
    speckled[:, 4, 2] = 1
    assert torch.equal(median_blur(speckled, 3), image)
