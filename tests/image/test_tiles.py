"""Tiles: where they lie, what they weigh, and that blending gives back what was cut."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepface.errors import RecipeError
from keepface.image.tiles import Blend, Layout, Tile, cut, gaussian_weights, reflect_pad, shares, starts
from keepface.seeds import generator


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=generator(0, "tiles"))


def rebuilt(grid: torch.Tensor, layout: Layout, dtype: torch.dtype) -> torch.Tensor:
    blend = Blend(layout, torch.full(grid.shape, torch.nan, dtype=dtype))
    for tile in layout:
        blend.add(tile, cut(grid, [tile])[0])
    return blend.out


@st.composite
def lines(draw: st.DrawFn) -> tuple[int, int, int]:
    tile = draw(st.integers(1, 70))
    return draw(st.integers(tile, 300)), tile, draw(st.integers(0, tile - 1))


@given(lines())
@settings(max_examples=300, deadline=None)
def test_tiles_cover_any_length_without_leaving_it_and_overlap_by_what_was_asked(line: tuple[int, int, int]) -> None:
    length, tile, overlap = line
    begins = starts(length, tile, overlap)
    covered = {place for begin in begins for place in range(begin, begin + tile)}
    assert covered == set(range(length))
    steps = [after - before for before, after in zip(begins, begins[1:], strict=False)]
    assert all(step == tile - overlap for step in steps[:-1]) and all(0 < step <= tile - overlap for step in steps)


@given(lines())
@settings(max_examples=100, deadline=None)
def test_the_shares_of_all_tiles_are_positive_and_sum_to_one_in_every_cell(line: tuple[int, int, int]) -> None:
    length, tile, overlap = line
    begins, total = starts(length, tile, overlap), torch.zeros(length, dtype=torch.float64)
    for begin, share in zip(begins, shares(length, tile, begins), strict=True):
        assert float(share.min()) > 0
        total[begin : begin + tile] += share
    assert float((total - 1).abs().max()) < 1e-12


def test_tiles_of_64_that_overlap_by_32_begin_where_stablesr_has_them() -> None:
    assert starts(64, 64, 32) == (0,)
    assert starts(128, 64, 32) == (0, 32, 64)
    assert starts(100, 64, 32) == (0, 32, 36)  # the last one is moved back to the end


def test_weights_are_those_of_a_gaussian_of_a_tenth_of_the_side() -> None:
    weights = gaussian_weights(65)
    assert float(weights[32]) == pytest.approx(1 / math.sqrt(2 * math.pi * 0.01))
    assert torch.equal(weights, weights.flip(0))
    # (n / 10) from the middle it is exp(-1/2) of the middle; 13 / 65 = 2 deviations.
    assert float(weights[32 + 13] / weights[32]) == pytest.approx(math.exp(-2))
    corner = float((weights[0] / weights[32]) ** 2)
    assert corner == pytest.approx(math.exp(-2 * (32 / 65) ** 2 / 0.02))


@pytest.mark.parametrize("size", [(64, 64), (64, 200), (97, 131), (300, 64)])
@pytest.mark.parametrize("overlap", [(0, 0), (32, 32), (8, 50)])
def test_what_is_cut_and_blended_is_what_was_there(size: tuple[int, int], overlap: tuple[int, int]) -> None:
    grid, layout = noise(3, *size), Layout.cover(size, (64, 64), overlap)
    assert torch.equal(rebuilt(grid, layout, torch.float64).float(), grid)
    assert float((rebuilt(grid, layout, torch.float32) - grid).abs().max()) < 1e-6


def test_one_tile_alone_has_all_the_weight_bit_for_bit() -> None:
    grid = noise(2, 48, 40)
    assert torch.equal(rebuilt(grid, Layout.cover((48, 40), (48, 40), (20, 20)), torch.float32), grid)


def test_a_plain_colour_stays_that_colour() -> None:
    grid = torch.full((3, 150, 90), 0.3)
    assert float((rebuilt(grid, Layout.cover((150, 90), (40, 40), (20, 20)), torch.float32) - 0.3).abs().max()) < 1e-6


def test_between_two_tiles_the_blend_goes_from_one_to_the_other_without_a_step() -> None:
    layout = Layout.cover((8, 96), (8, 64), (0, 32))
    blend = Blend(layout, torch.empty(1, 8, 96, dtype=torch.float64))
    for value, tile in enumerate(layout):
        blend.add(tile, torch.full((1, 8, 64), float(value)))
    line = blend.out[0, 0]
    assert float(line[:32].abs().max()) == 0 and float((line[64:] - 1).abs().max()) < 1e-12
    assert float(line[32]) < 1e-5 and float(1 - line[63]) < 1e-5  # no step where a tile begins or ends
    assert bool((line.diff() >= 0).all())
    assert float(line[32:64].mean()) == pytest.approx(0.5)  # by symmetry


def test_a_layout_is_read_row_by_row_in_batches_and_on_a_finer_grid() -> None:
    layout = Layout.cover((10, 20), (10, 10), (5, 5))
    assert [(tile.top, tile.left) for tile in layout] == [(0, 0), (0, 5), (0, 10)] and len(layout) == 3
    assert [len(tiles) for tiles in layout.batches(2)] == [2, 1]
    assert list(layout.scaled(8)) == [tile.scaled(8) for tile in layout]
    assert Tile(1, 2, 3, 4).scaled(8) == Tile(8, 16, 24, 32)
    assert layout.borders() == ((), (5, 10, 15)) and layout.scaled(2).borders() == ((), (10, 20, 30))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_padding_mirrors_as_numpy_does_however_small_the_picture(h: int, w: int, y: int, x: int) -> None:
    image, size = noise(2, h, w), (max(h, y), max(w, x))
    ways = ((0, 0), (0, size[0] - h), (0, size[1] - w))
    mirrored = torch.from_numpy(np.pad(image.numpy(), ways, mode="reflect"))
    assert torch.equal(reflect_pad(image, size), mirrored)


def test_what_can_not_be_tiled_is_refused() -> None:
    with pytest.raises(RecipeError, match="a grid of 10 is smaller than its tiles of 16; pad it first"):
        starts(10, 16, 8)
    with pytest.raises(RecipeError, match="tiles of 16 overlap by 16; it must be from 0 to 15"):
        starts(32, 16, 16)
    with pytest.raises(RecipeError, match=r"a grid of \(16, 16\) can't be blended into one of \(16, 17\)"):
        Blend(Layout.cover((16, 16), (16, 16), (0, 0)), torch.zeros(1, 16, 17))
