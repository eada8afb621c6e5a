"""A face cut out with what is round it: the photo's own pixels, in place, not turned."""

import numpy as np
import pytest
import torch

from keepface.faces.align import FFHQ_SIDE, ffhq_template
from keepface.faces.surroundings import with_surroundings


def coordinates(height: int, width: int) -> torch.Tensor:
    """Red is x, green is y, both in pixels over 400."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, torch.zeros(height, width)]) / 400


def face(left: float, top: float, side: float, turn_deg: float = 0.0) -> np.ndarray:
    """Put the template's points into a square of the photo, turned about its middle."""
    points = (ffhq_template(FFHQ_SIDE) + 0.5) * (side / FFHQ_SIDE) - 0.5 - (side - 1) / 2
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + np.array([left, top]) + (side - 1) / 2


def test_within_the_limits_it_is_the_photos_own_pixels() -> None:
    photo = coordinates(300, 400)
    square = with_surroundings(photo, face(150, 100, 80), 1.5, (64, 512))
    torch.testing.assert_close(square, photo[:, 80:200, 130:250], atol=1e-4, rtol=0)


@pytest.mark.parametrize("turn_deg", [30.0, 90.0, -120.0])
def test_a_face_that_leans_is_left_leaning(turn_deg: float) -> None:
    photo = coordinates(300, 400)
    square = with_surroundings(photo, face(150, 100, 80, turn_deg), 1.5, (64, 512))
    torch.testing.assert_close(square, photo[:, 80:200, 130:250], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("sides", "side"), [((64, 100), 100), ((150, 200), 150), ((120, 120), 120)])
def test_the_side_stays_within_its_limits_and_shows_the_same(sides: tuple[int, int], side: int) -> None:
    square = with_surroundings(coordinates(300, 400), face(150, 100, 80), 1.5, sides)
    assert square.shape == (3, side, side)
    middle = square[:2, side // 4 : -(side // 4), side // 4 : -(side // 4)].mean((1, 2)) * 400
    torch.testing.assert_close(middle, torch.tensor([189.5, 139.5]), atol=0.6, rtol=0)


def test_beyond_the_edge_the_photo_is_mirrored() -> None:
    square = with_surroundings(coordinates(300, 400), face(0, 100, 80), 1.5, (64, 512))
    torch.testing.assert_close(square[0, :, :20].flip(1), square[0, :, 21:41], atol=1e-3, rtol=0)
