import numpy as np
import pytest
import torch
from PIL import Image

from keepface.image.size import resize

KINDS = ("bilinear", "bicubic", "area", "lanczos")
PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(5, 9), (40, 31), (16, 7)])
def test_a_constant_stays_that_constant_in_any_size(kind, size):
    for value in (0.0, 0.3, 1.0):
        resized = resize(torch.full((3, 16, 20), value), size, kind)
        assert resized.shape == (3, *size)
        assert torch.allclose(resized, torch.tensor(value), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_size_gives_the_same_bits(kind):
    image = noise(2, 3, 8, 9)
    assert torch.equal(resize(image, (8, 9), kind), image)


@pytest.mark.parametrize("kind", PILLOW)
@pytest.mark.parametrize("size", [(7, 10), (50, 33), (24, 11)])
def test_resizing_agrees_with_pillow(kind, size):
    image = 0.25 + 0.5 * noise(3, 24, 30)
    ours = resize(image, size, kind)
    for channel in range(3):
        plane = Image.fromarray(image[channel].numpy())
        theirs = np.asarray(plane.resize((size[1], size[0]), PILLOW[kind])).clip(0, 1)
        assert np.abs(ours[channel].numpy() - theirs).max() < 1e-4


def test_area_shrinking_by_a_whole_factor_is_the_mean_of_the_blocks():
    image = noise(2, 3, 12, 8)
    blocks = image.reshape(2, 3, 4, 3, 2, 4).mean(dim=(3, 5))
    assert torch.allclose(resize(image, (4, 2), "area"), blocks, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_finest_stripes_turn_to_grey_when_shrunk_and_not_to_other_stripes(kind):
    stripes = torch.arange(64).remainder(2).float().expand(3, 64, 64)
    assert (resize(stripes, (64, 16), kind)[..., 3:-3] - 0.5).abs().max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_values_stay_in_range_where_filters_overshoot(kind):
    edge = torch.zeros(3, 12, 12)
    edge[..., 6:] = 1.0
    resized = resize(edge, (31, 31), kind)
    assert resized.min() == 0.0
    assert resized.max() == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_resized_as_its_items_are(kind):
    images = noise(3, 3, 9, 14)
    together = resize(images, (5, 30), kind)
    assert torch.equal(together, torch.stack([resize(image, (5, 30), kind) for image in images]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mirrored_image_resizes_to_the_mirrored_result(kind):
    image = noise(3, 17, 23)
    assert torch.allclose(resize(image.flip(-1), (9, 40), kind), resize(image, (9, 40), kind).flip(-1), atol=1e-5)
