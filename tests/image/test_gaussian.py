import pytest
import torch

from keepface.image.gaussian import fit_gaussian, gaussian


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_the_blur_between_two_pictures_is_found(sigma: float) -> None:
    for item in torch.rand(2, 3, 64, 64):
        assert fit_gaussian(gaussian(item[None], sigma)[0], item[None], (0.5, 1.0, 2.0, 4.0, 8.0), 8) == sigma


def test_a_blur_keeps_even_areas_and_none_keeps_everything() -> None:
    even = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(gaussian(even, 2.0), even)
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(gaussian(picture, 0.0), picture)
