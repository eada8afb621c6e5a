import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.faces.harmonise import MOST_GRAIN, SHARPER, blur_of, draw_grain, match_blur, match_tint, measure_grain
from keepface.faces.paste import paste
from keepface.image.colour import to_grey

SIDE = 192
HERE = np.array([[1.0, 0.0, -32.0], [0.0, 1.0, -32.0]])  # a square of 128 px in the middle


def grain(sigma: float, correlation: float = 0.0, grey: bool = False, seed: int = 0) -> Tensor:
    field = torch.randn(1 if grey else 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)).expand(3, -1, -1)
    if correlation:
        soft = cv2.GaussianBlur(field.permute(1, 2, 0).numpy(), (0, 0), correlation)
        field = torch.from_numpy(soft).permute(2, 0, 1)
    return field / field.std() * sigma


def ramp() -> Tensor:
    x = torch.arange(SIDE).expand(3, SIDE, SIDE) / SIDE
    return 0.35 + 0.3 * x


def step(sigma: float) -> Tensor:
    picture = np.full((SIDE, SIDE), 0.2, np.float32)
    picture[:, SIDE // 2 :] = 0.8
    return torch.from_numpy(cv2.GaussianBlur(picture, (0, 0), sigma)).expand(3, -1, -1).contiguous()


def pasted(photo: Tensor, square: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    done = paste(photo, square, HERE, grain=torch.Generator().manual_seed(seed))
    return done.pixels, done.mask


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("grey", [False, True])
def test_grain_on_a_slope_is_measured_within_five_percent(sigma: float, grey: bool) -> None:
    found = measure_grain(ramp() + grain(sigma, grey=grey))
    assert found is not None and found.sigma == pytest.approx(sigma, rel=0.05)


def test_drawn_grain_has_the_power_the_colours_and_the_softness_it_was_measured_with() -> None:
    given = grain(0.03, correlation=0.8)
    given[2] = 0.5 * given[2] + 0.5 * given[1]  # blue goes with green
    found = measure_grain(0.5 + given)
    assert found is not None
    drawn = draw_grain(found, (SIDE, SIDE), torch.Generator().manual_seed(1))
    assert float(drawn.std()) == pytest.approx(float(given.std()), rel=0.1)
    assert np.corrcoef(drawn.flatten(1)) == pytest.approx(np.corrcoef(given.flatten(1)), abs=0.08)
    neighbours = [float(np.corrcoef(f[:, 1:].flatten(), f[:, :-1].flatten())[0, 1]) for f in (drawn[0], given[0])]
    assert neighbours[0] == pytest.approx(neighbours[1], abs=0.1)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 3.0, 5.0])
def test_the_blur_of_an_ideal_edge_is_the_gaussian_s_own(sigma: float) -> None:
    assert blur_of(step(sigma)) == pytest.approx(sigma, abs=0.15)


def test_a_picture_without_edges_has_no_blur_to_tell() -> None:
    assert blur_of(ramp()) is None


@pytest.mark.parametrize(("correlation", "within"), [(0.0, 0.1), (0.8, 0.2)])
def test_a_flat_face_gets_the_grain_of_its_photo(correlation: float, within: float) -> None:
    photo = ramp() + grain(0.01, correlation)
    pixels, mask = pasted(photo, ramp()[:, 32:160, 32:160])
    inside = (pixels - ramp())[:, mask == 1]
    assert float(inside.std()) == pytest.approx(0.01, rel=within)


def test_across_the_soft_edge_the_grain_does_not_dip() -> None:
    pixels, mask = pasted(ramp() + grain(0.01), ramp()[:, 32:160, 32:160])
    plain = paste(ramp() + grain(0.01), ramp()[:, 32:160, 32:160], HERE).pixels
    edge = (mask > 0.3) & (mask < 0.7)
    assert float((pixels - ramp())[:, edge].std()) == pytest.approx(0.01, rel=0.12)
    assert float((plain - ramp())[:, edge].std()) < 0.0067


def test_a_square_pasted_back_unchanged_changes_nothing() -> None:
    photo = (step(1.5) + grain(0.03)).clamp(0, 1)
    pixels, mask = pasted(photo, photo[:, 32:160, 32:160])
    assert mask.max() == 1 and (pixels - photo).abs().max() < 1e-6


def test_where_the_mask_is_nought_every_bit_stays() -> None:
    photo = (ramp() + grain(0.05)).clamp(0, 1)
    pixels, mask = pasted(photo, torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(pixels[:, mask == 0], photo[:, mask == 0])
    assert not torch.equal(pixels, photo)


def test_a_grey_photo_gets_grey_grain() -> None:
    photo = to_grey(ramp() + grain(0.03))
    pixels, _ = pasted(photo, to_grey(ramp())[:, 32:160, 32:160])
    assert torch.equal(pixels[0], pixels[1]) and torch.equal(pixels[1], pixels[2])


def test_the_same_generator_draws_the_same_grain() -> None:
    photo, square = ramp() + grain(0.03), ramp()[:, 32:160, 32:160]
    assert torch.equal(pasted(photo, square, 4)[0], pasted(photo, square, 4)[0])
    assert not torch.equal(pasted(photo, square, 4)[0], pasted(photo, square, 5)[0])


def test_a_face_much_sharper_than_its_surroundings_is_softened_to_the_limit_and_no_further() -> None:
    soft = match_blur(step(0.7), step(4.0))
    assert blur_of(soft) == pytest.approx(4.0 / SHARPER, abs=0.2)
    assert torch.equal(match_blur(step(3.0), step(4.0)), step(3.0))
    assert torch.equal(match_blur(step(4.0), step(0.7)), step(4.0))


def test_in_a_sepia_photo_the_face_turns_sepia_and_in_a_coloured_one_it_keeps_its_colours() -> None:
    tone = torch.tensor([0.05, 0.0, -0.08]).view(3, 1, 1)
    face = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(5)) * 0.3 + 0.35
    sepia = match_tint(face, to_grey(ramp()) + tone)
    lifted = sepia - to_grey(face)
    assert (lifted[0] - lifted[2]).mean() == pytest.approx(0.13, abs=0.01)
    assert float((lifted[0] - lifted[2]).std()) < 0.01
    coloured = ramp() * torch.tensor([1.0, 0.6, 0.4]).view(3, 1, 1)
    coloured[:, : SIDE // 2] = coloured[:, : SIDE // 2].flip(0)
    assert torch.equal(match_tint(face, coloured), face)


@pytest.mark.parametrize("sigma", [0.06, 0.1, 0.3])
def test_noise_stronger_than_film_has_is_not_painted_back(sigma: float) -> None:
    pixels, mask = pasted(0.5 + 0 * ramp() + grain(sigma), 0.5 + 0 * ramp()[:, 32:160, 32:160])
    assert float((pixels - 0.5)[:, mask == 1].std()) == pytest.approx(MOST_GRAIN, rel=0.15)


@pytest.mark.parametrize("period", [3, 4, 6])
def test_the_dots_of_print_are_not_grain(period: int) -> None:
    x = torch.arange(SIDE)
    dots = 0.5 + 0.03 * (torch.cos(2 * torch.pi * x / period)[:, None] * torch.cos(2 * torch.pi * x / period))
    flat = torch.full((3, 128, 128), 0.5)
    pixels, mask = pasted(dots.expand(3, -1, -1).contiguous(), flat)
    assert float((pixels - 0.5)[:, mask == 1].std()) < 1e-3
