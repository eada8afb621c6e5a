import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.engine.consistency import SHARES, inner
from keepface.engine.evidence import TINTS, UNSEEN, Draws, Evidence, finer_than_photo, shares, spread_out, square_maps
from keepface.image.gaussian import gaussian

SIZE = 64


def picture(seed: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def normal(seed: int, count: int) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def middle(maps: Tensor) -> Tensor:
    return inner(maps[None])[0].mean((1, 2))


def test_maps_sum_to_one_and_are_never_negative() -> None:
    maps = square_maps(Draws(picture(0)[0], picture(1, 4), picture(2, 4)))
    assert torch.allclose(maps.sum(0), torch.ones(SIZE, SIZE), atol=1e-6)
    assert float(maps.min()) >= 0


def test_a_restorer_that_ignores_the_seed_invents_nothing() -> None:
    led, unled = picture(1).expand(4, -1, -1, -1), picture(2).expand(4, -1, -1, -1)
    maps = square_maps(Draws(picture(0)[0], led, unled))
    assert torch.equal(maps[2], torch.zeros(SIZE, SIZE))
    assert float(maps[1].min()) > 0


def test_a_restorer_that_ignores_the_references_owes_them_nothing() -> None:
    draws = picture(1, 4)
    for unled in (draws, None):
        maps = square_maps(Draws(picture(0)[0], draws, unled))
        assert torch.equal(maps[1], torch.zeros(SIZE, SIZE))
        assert float(maps[2].min()) > 0


def test_the_photo_given_back_is_all_the_photos() -> None:
    low = picture(0)[0]
    found = shares(0, square_maps(Draws(low, low.expand(3, -1, -1, -1))), Draws(low, low.expand(3, -1, -1, -1)))
    assert (found.photo, found.references, found.invented, found.finer_than_photo) == (1.0, 0.0, 0.0, 0.0)


def test_noise_of_a_known_power_on_a_flat_photo_is_invented_by_its_share() -> None:
    spread = 0.02
    draws = 0.5 + spread * normal(3, 24)
    maps = middle(square_maps(Draws(torch.full((3, SIZE, SIZE), 0.5), draws)))
    assert float(maps[2]) == pytest.approx(spread**2 / (spread**2 + UNSEEN**2), abs=0.03)


def test_a_step_that_the_references_bring_is_theirs_by_its_share_also_under_noise() -> None:
    step, spread = 0.1, 0.02
    unled = 0.5 + spread * normal(3, 24)
    maps = middle(square_maps(Draws(torch.full((3, SIZE, SIZE), 0.5), unled + step, unled)))
    whole = step**2 + spread**2 + UNSEEN**2
    assert float(maps[1]) == pytest.approx(step**2 / whole, abs=0.01)
    assert float(maps[2]) == pytest.approx(spread**2 / whole, abs=0.01)


def test_differences_that_cant_be_seen_leave_the_photo_most_of_a_flat_face() -> None:
    draws = 0.5 + 0.1 / 255 * normal(4, 8)
    assert float(middle(square_maps(Draws(torch.full((3, SIZE, SIZE), 0.5), draws)))[0]) > 0.99


def test_detail_finer_than_the_photo_is_what_the_photos_blur_takes() -> None:
    sharp = picture(1)
    sigma = SHARES[14] * SIZE
    low = gaussian(sharp, sigma)
    kept = float(inner(low).double().var((2, 3)).sum() / inner(sharp).double().var((2, 3)).sum())
    assert finer_than_photo(Draws(low[0], sharp.expand(2, -1, -1, -1))) == pytest.approx(1 - kept, abs=1e-6)
    assert finer_than_photo(Draws(sharp[0], sharp.expand(2, -1, -1, -1))) == 0.0


def test_maps_lie_where_the_face_is_and_all_else_is_the_photos() -> None:
    square = torch.zeros(3, SIZE, SIZE)
    square[2] = 1
    matrix = np.array([[2.0, 0.0, -40.0], [0.0, 2.0, -60.0]])  # pixels 20..52 across, 30..62 down
    whole = spread_out((100, 120), [square], [matrix])
    assert torch.allclose(whole.sum(0), torch.ones(100, 120), atol=1e-6)
    assert float(whole[2, 46, 36]) == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(whole[0, :28], torch.ones(28, 120)) and torch.equal(whole[0, :, 56:], torch.ones(100, 64))


def test_the_overlay_is_grey_where_the_photo_speaks_and_tinted_elsewhere() -> None:
    maps = torch.zeros(3, 4, 6)
    maps[0, :, :2], maps[1, :, 2:4], maps[2, :, 4:] = 1, 1, 1
    pixels = torch.rand(3, 4, 6)
    shown = Evidence(maps, (), 4).overlay(pixels)
    assert torch.allclose(shown[:, :, 0], pixels.mean(0)[:, 0].expand(3, -1))
    assert torch.allclose(shown[:, 0, 2], 0.2 * pixels[:, 0, 2].mean() + 0.8 * torch.tensor(TINTS[1]))
    assert torch.allclose(shown[:, 0, 5], 0.2 * pixels[:, 0, 5].mean() + 0.8 * torch.tensor(TINTS[2]))
