import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.faces.align import align_ffhq, ffhq_template, transform
from keepface.faces.paste import paste, soft_mask


def turned(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    a = scale * np.exp(1j * np.radians(degrees))
    return np.array([[a.real, -a.imag, shift[0]], [a.imag, a.real, shift[1]]])


def smooth_photo(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([0.5 + 0.4 * torch.sin(x / 17), 0.5 + 0.4 * torch.cos(y / 13), (x + y) / (height + width)])


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.3])
def test_pasting_what_was_cut_out_gives_the_photo(scale: float) -> None:
    photo = smooth_photo(240, 320)
    points = transform(ffhq_template(128), turned(1 / scale, 20, (60, 10)))
    aligned = align_ffhq(photo, points, 128)
    pasted = paste(photo, aligned.crop, aligned.matrix)
    assert pasted.mask.max() == pytest.approx(1, abs=1e-3)
    assert (pasted.pixels - photo).abs().max() < 0.02


def test_where_the_mask_is_nought_every_bit_stays() -> None:
    photo = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(1))
    before = photo.clone()
    pasted = paste(photo, torch.ones(3, 64, 64), turned(1.2, -30, (5, -10)))
    outside = pasted.mask == 0
    assert 0 < outside.sum() < outside.numel()
    assert torch.equal(pasted.pixels[:, outside], photo[:, outside])
    assert torch.equal(photo, before)


def test_where_the_mask_is_full_the_square_is_seen_and_between_it_is_blended() -> None:
    photo, square = torch.zeros(3, 100, 100), torch.ones(3, 60, 60)
    pasted = paste(photo, square, turned(1, 0, (-20, -20)), feather=0.2)
    assert torch.allclose(pasted.pixels[0], pasted.mask, atol=1e-6)
    assert (pasted.mask[32:68, 32:68] == 1).all()
    assert pasted.mask[20, 50] < 0.01 and pasted.mask[19, 50] == 0 and 0.4 < pasted.mask[25, 50] < 0.6


def test_the_mask_is_soft_has_no_step_and_is_alike_on_four_sides() -> None:
    mask = soft_mask(turned(1, 0, (0, 0)), (80, 80), 80, 0.15)
    np.testing.assert_allclose(mask, mask[::-1], atol=1e-12)
    np.testing.assert_allclose(mask, mask.T, atol=1e-12)
    steepest = np.abs(np.diff(mask, axis=0)).max()
    assert steepest <= 1.5 / (0.15 * 80) + 1e-9  # the slope of 3c² - 2c³ is at most 1.5


def test_a_hard_edge_covers_the_square_and_nothing_more() -> None:
    mask = soft_mask(turned(1, 0, (-10, -10)), (40, 40), 20, 0.0)
    assert mask.sum() == 400 and mask[10:30, 10:30].all()


def test_a_square_partly_or_wholly_outside_is_no_error() -> None:
    photo = torch.rand(3, 50, 60, generator=torch.Generator().manual_seed(2))
    partly = paste(photo, torch.ones(3, 40, 40), turned(1, 0, (30, 30)))
    assert partly.mask[0, 0] == 0 or partly.mask.max() > 0
    wholly = paste(photo, torch.ones(3, 40, 40), turned(1, 0, (500, 0)))
    assert torch.equal(wholly.pixels, photo) and wholly.mask.max() == 0


def test_a_large_square_is_averaged_into_a_small_place() -> None:
    y, x = torch.meshgrid(torch.arange(320), torch.arange(320), indexing="ij")
    board = ((x + y) % 2).float().expand(3, 320, 320)
    pasted = paste(torch.full((3, 60, 60), 0.5), board, turned(8, 0, (-80, -80)))
    assert (pasted.pixels - 0.5).abs().max() < 0.05
