"""The seam metric against pictures whose energies are known in closed form."""

import pytest
import torch
from torch import Tensor

from keepface.errors import DataError
from keepface.image.tiles import Layout
from keepface.metrics.seams import seam_ratio
from keepface.seeds import generator

SLOPE = 0.002  # per pixel
BORDERS = (40, 80, 120)


def ramp(size: int = 160) -> Tensor:
    y, x = torch.meshgrid(*(2 * [torch.arange(size, dtype=torch.float64)]), indexing="ij")
    return (0.1 + SLOPE * (x + y)).expand(1, 3, size, size).clone()


@pytest.mark.parametrize("near", [1, 32, None])
def test_a_ramp_has_no_seam_and_a_step_of_known_height_gives_the_ratio_of_the_squares(near: int | None) -> None:
    image, step = ramp(), 0.004
    assert seam_ratio(image.float(), BORDERS, BORDERS, near) == pytest.approx(1, abs=1e-3)
    for border in BORDERS:
        image[:, :, border:] += step
        image[:, :, :, border:] += step
    expected = ((SLOPE + step) / SLOPE) ** 2  # 9
    assert seam_ratio(image, BORDERS, BORDERS, near) == pytest.approx(expected, rel=1e-9)
    assert seam_ratio(image.float(), BORDERS, BORDERS, near) == pytest.approx(expected, rel=1e-3)


def test_the_pattern_that_a_decoder_has_in_every_cell_is_no_seam() -> None:
    image = ramp()
    for place in range(8, 160, 8):
        image[:, :, place:] += 0.004
    assert seam_ratio(image, BORDERS, ()) > 4
    for near in (8, 32, None):
        assert seam_ratio(image, BORDERS, (), near, cell=8) == pytest.approx(1)
    image[:, :, 80:] += 0.004  # of three borders one has a step more: 5 slopes and not 3
    expected = (9 + 9 + 25) / 3 / 9
    assert seam_ratio(image, BORDERS, (), cell=8) == pytest.approx(expected)


def test_a_step_beside_the_border_lowers_the_ratio() -> None:
    image = ramp()
    image[:, :, 43:] += 0.01
    assert seam_ratio(image, BORDERS, ()) < 0.9


def test_an_axis_without_borders_says_nothing() -> None:
    image = ramp()
    image[:, :, :, 80:] += 0.5
    assert seam_ratio(image, BORDERS, ()) == pytest.approx(1)
    assert seam_ratio(image, (), (80,)) == pytest.approx(((SLOPE + 0.5) / SLOPE) ** 2)


def test_noise_cut_into_tiles_and_put_side_by_side_has_no_seam() -> None:
    image = torch.rand(1, 3, 512, 512, generator=generator(0, "seams"))
    rows, columns = Layout.cover((512, 512), (64, 64), (0, 0)).borders()
    assert rows == tuple(range(64, 512, 64))
    assert seam_ratio(image, rows, columns, None) == pytest.approx(1, abs=0.03)


def test_without_borders_or_without_gradients_it_can_not_be_told() -> None:
    with pytest.raises(DataError, match="0 border lines"):
        seam_ratio(ramp(), (), (0, 160))
    with pytest.raises(DataError, match="not one plain colour"):
        seam_ratio(torch.full((1, 3, 32, 32), 0.5), (16,), (16,))
