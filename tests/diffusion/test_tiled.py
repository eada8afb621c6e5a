"""Large latents by tiles: predictors with a closed form, and the tiny family's real networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from keepface.diffusion.family import Family
from keepface.diffusion.sampler import Predict, make_scheduler, sample
from keepface.diffusion.tiled import pixels_per_cell, tiled_decode, tiled_encode, tiled_predict
from keepface.errors import RecipeError
from keepface.image.tiles import Layout, Tile
from keepface.seeds import generator, noise

from ..toy import SIZE

T = torch.tensor(500)
TWO_BY_TWO = Layout.cover((12, 12), (8, 8), (4, 4))


@pytest.fixture(scope="module")
def family(tiny_family_folder: Path) -> Family:
    return Family.from_pretrained(tiny_family_folder)


def latent(*size: int, channels: int = 4) -> Tensor:
    return noise((channels, *size), [generator(0, "latent")])


def picture(*size: int) -> Tensor:
    return torch.rand(3, *size, generator=generator(0, "picture"))


class Local:
    """A predictor without position: each cell by itself, a little of t; it keeps what it was given."""

    def __init__(self) -> None:
        self.bound: list[list[Tile]] = []
        self.counts: list[int] = []

    def __call__(self, tiles: Sequence[Tile]) -> Predict:
        self.bound.append(list(tiles))

        def predict(x_t: Tensor, t: Tensor) -> Tensor:
            self.counts.append(len(x_t))
            return x_t.square() - x_t.flip(1) * t / 1000

        return predict


def test_tiles_of_a_predictor_without_position_are_the_whole_exactly() -> None:
    x, whole = latent(12, 12), Local()(list(TWO_BY_TWO))(latent(12, 12), T)
    assert len(TWO_BY_TWO) == 4
    assert torch.equal(tiled_predict(Local(), TWO_BY_TWO, count=1)(x, T), whole)


def test_what_a_tile_predicts_counts_by_its_share() -> None:
    layout = Layout.cover((8, 12), (8, 8), (0, 4))

    def bind(tiles: Sequence[Tile]) -> Predict:
        values = torch.tensor([float(tile.left > 0) for tile in tiles]).view(-1, 1, 1, 1)
        return lambda x_t, t: values.expand(x_t.shape)

    line = tiled_predict(bind, layout, count=2)(latent(8, 12), T)[0, 0, 0]
    # Cell 4 is the 5th of the left tile and the 1st of the right one: x - m = 0.5 and -3.5 cells of 8.
    left, right = (torch.exp(torch.tensor(-((d / 8) ** 2) / 0.02)) for d in (0.5, 3.5))
    assert line[:4].tolist() == [0.0] * 4 and line[8:].tolist() == [1.0] * 4
    assert float(line[4]) == pytest.approx(float(right / (left + right)), rel=1e-5)


@pytest.mark.parametrize("count", [1, 3, 4, 100])
def test_no_more_tiles_than_asked_for_pass_at_once_and_it_does_not_matter_how_many(count: int) -> None:
    layout, local, told = Layout.cover((20, 33), (8, 8), (4, 4)), Local(), []
    x = latent(20, 33)
    found = tiled_predict(local, layout, count, told.append)(x, T)
    assert torch.equal(found, tiled_predict(Local(), layout, 1)(x, T))
    assert max(local.counts) == min(count, len(layout)) and sum(told) == sum(local.counts) == len(layout)
    assert [tile for tiles in local.bound for tile in tiles] == list(layout)


def test_only_so_many_tiles_stay_bound_from_step_to_step() -> None:
    layout, local = Layout.cover((8, 36), (8, 8), (0, 4)), Local()
    predict = tiled_predict(local, layout, count=2, kept=4)
    assert len(layout) == 8
    for _ in range(3):
        predict(latent(8, 36), T)
    bound = [tiles[0].left for tiles in local.bound]
    assert bound == [0, 8, 16, 24] + 2 * [16, 24]


@pytest.mark.parametrize("name", ["ddpm", "ddim", "unipc"])
def test_the_whole_latent_makes_one_step_a_step_in_every_sampler(family: Family, name: Any) -> None:
    def walk(predict: Predict) -> Tensor:
        scheduler = make_scheduler(dict(family.scheduler.config), name, 4, family.device)
        *_, last = sample(predict, scheduler, latent(12, 12), [generator(7)])
        return last.x_t

    assert torch.equal(walk(tiled_predict(Local(), TWO_BY_TWO, 3)), walk(Local()(())))


# ---- pictures ----


def test_one_tile_is_encoded_and_decoded_bit_for_bit_as_without_tiles(family: Family) -> None:
    one = Layout.cover((4, 4), (4, 4), (2, 2))
    assert pixels_per_cell(family) == 8
    image = picture(SIZE, SIZE)
    z = tiled_encode(family, image, one, 4)
    assert torch.equal(z, family.encode(image[None]))
    assert torch.equal(tiled_decode(family, z, one, 4), family.decode(z)[0])


@pytest.mark.parametrize("size", [(4, 4), (4, 19), (9, 6)])
def test_a_picture_of_one_colour_stays_alike_from_tile_to_tile(family: Family, size: tuple[int, int]) -> None:
    layout, alone = Layout.cover(size, (4, 4), (0, 0)), Layout.cover((4, 4), (4, 4), (0, 0))
    grey = torch.full((3, 8 * size[0], 8 * size[1]), 0.4)
    z = tiled_encode(family, grey, layout, 3)
    square = tiled_encode(family, grey[:, :SIZE, :SIZE], alone, 1)
    for tile in layout:  # each is what it is alone, up to where the last one was moved over its neighbour
        if tile.top % 4 == 0 and tile.left % 4 == 0 and tile.left + 8 <= size[1] and tile.top + 8 <= size[0]:
            torch.testing.assert_close(z[:, :, tile.rows, tile.columns], square)
    assert tiled_decode(family, z, layout, 3).shape == grey.shape


def test_how_many_tiles_are_encoded_and_decoded_at_once_does_not_matter(family: Family) -> None:
    layout, image = Layout.cover((6, 11), (4, 4), (2, 2)), picture(48, 88)
    one, many = (tiled_encode(family, image, layout, count) for count in (1, 5))
    torch.testing.assert_close(one, many, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        tiled_decode(family, one, layout, 1), tiled_decode(family, one, layout, 5), atol=1e-5, rtol=1e-5
    )


def test_the_autoencoder_never_sees_more_than_a_batch_of_squares(family: Family) -> None:
    seen: list[tuple[int, ...]] = []
    parts: list[nn.Module] = [family.vae.encoder, family.vae.decoder]  # type: ignore[list-item]
    hooks = [part.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape))) for part in parts]
    layout = Layout.cover((10, 16), (4, 4), (2, 2))
    tiled_decode(family, tiled_encode(family, picture(80, 128), layout, 3), layout, 3)
    for hook in hooks:
        hook.remove()
    assert {shape[2:] for shape in seen} == {(SIZE, SIZE), (4, 4)} and max(shape[0] for shape in seen) == 3


def test_a_family_whose_squares_are_no_whole_number_of_cells_is_refused(family: Family) -> None:
    odd = Family(family.card, family.unet, family.vae, family.scheduler, family.prompt)
    odd.__dict__["latent_shape"] = (4, 5, 5)
    with pytest.raises(RecipeError, match="32 px and a latent of 5 x 5 don't fit"):
        pixels_per_cell(odd)
