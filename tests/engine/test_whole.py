"""A whole picture by tiles: the tiny family's real networks, random weights; what it paints is noise, how is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from keepface.cli import app
from keepface.diffusion.family import Family
from keepface.engine.colour_fix import COLOUR_FIXES, fix_large
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import restore_any, restore_whole, tile_layout, wanted_size
from keepface.errors import RecipeError, TooLargeError
from keepface.image.files import Photo, read_photo, write_photo
from keepface.image.size import resize
from keepface.methods import DEFAULTS
from keepface.methods.method import Defaults
from keepface.seeds import generator

from ..methods.ridfr_toy import opened
from ..toy import SIZE, low_squares
from .test_restorer import people

SHORT = RestoreSettings(steps=2, guidance=2.0, tile=True)


def picture(*size: int) -> Tensor:
    """A smooth coloured picture."""
    return resize(torch.rand(3, 5, 7, generator=generator(0, "whole")), size)


def whole(restorer: Restorer, photo: Photo, settings: RestoreSettings = SHORT, **more: Any) -> Any:
    return restore_whole(restorer, photo, (), settings, **more)


# ---- the picture ----


@pytest.mark.parametrize("sampler", ["unipc", "ddim", "ddpm"])
def test_a_picture_of_one_tile_is_what_the_square_is_bit_for_bit(tiny_restorer: Restorer, sampler: str) -> None:
    settings = replace(SHORT, sampler=sampler)
    for who in ([], people("a", "b")):
        square = tiny_restorer.restore_squares(low_squares(1), [who], settings, [5])[0]
        assert torch.equal(tiny_restorer.restore_tiles(low_squares(1)[0], who, settings, 5).pixels, square)


def test_the_same_holds_for_ridfr_which_begins_with_noise_alone(
    tiny_family_folder: Path, tiny_restorer: Restorer
) -> None:
    method = opened(Family.from_pretrained(tiny_family_folder))
    restorer = Restorer(method, tiny_restorer.embedder, tiny_restorer.judge)
    for fidelity in (0.0, 0.5):
        settings = replace(SHORT, fidelity=fidelity)
        square = restorer.restore_squares(low_squares(1), [[]], settings, [5])[0]
        assert torch.equal(restorer.restore_tiles(low_squares(1)[0], [], settings, 5).pixels, square)
    tiled = restorer.restore_tiles(picture(50, 70), [], SHORT, 5)
    assert tiled.pixels.shape == (3, 50, 70)


@pytest.mark.parametrize("size", [(32, 32), (7, 9), (1, 1), (32, 33), (61, 40), (8, 300), (200, 3)])
def test_any_size_and_aspect_comes_back_in_its_size_and_range(tiny_restorer: Restorer, size: tuple[int, int]) -> None:
    tiled = tiny_restorer.restore_tiles(picture(*size), [], replace(SHORT, steps=1), 0)
    assert tiled.pixels.shape == (3, *size) and tiled.pixels.dtype == torch.float32
    assert float(tiled.pixels.min()) >= 0 and float(tiled.pixels.max()) <= 1


def test_the_picture_does_not_depend_on_how_many_tiles_are_restored_at_once(tiny_restorer: Restorer) -> None:
    low, who = picture(40, 60), people("a")
    one, many = (
        tiny_restorer.restore_tiles(low, who, replace(SHORT, sampler="ddpm", tile_batch=count), 3).pixels
        for count in (1, 5)
    )
    assert float((one - many).abs().max()) < 1 / 255
    other = tiny_restorer.restore_tiles(low, who, replace(SHORT, sampler="ddpm"), 4).pixels
    assert float((one - other).abs().max()) > 4 / 255  # the seed decides it


def test_a_picture_of_one_colour_has_no_seams(tiny_restorer: Restorer) -> None:
    """Without start noise every tile is alike, so that the whole repeats what one tile holds."""
    settings = RestoreSettings(steps=2, tile=True, temperature=0.0, colour="none", tile_overlap=0.0)
    square = tiny_restorer.restore_tiles(torch.full((3, SIZE, SIZE), 0.6), [], settings, 0).pixels
    large = tiny_restorer.restore_tiles(torch.full((3, 2 * SIZE, 3 * SIZE), 0.6), [], settings, 0).pixels
    assert float((large - square.repeat(1, 2, 3)).abs().max()) < 1e-4


def test_references_lead_every_tile(tiny_restorer: Restorer) -> None:
    low = picture(SIZE, 3 * SIZE)
    plain, led = (tiny_restorer.restore_tiles(low, who, SHORT, 0).pixels for who in ([], people("a")))
    for part in (plain - led).abs().split(SIZE, dim=2):
        assert float(part.max()) > 1e-3
    nobody = tiny_restorer.restore_tiles(low, people("a"), replace(SHORT, identity=0.0), 0).pixels
    assert torch.equal(nobody, plain)


def test_only_a_batch_of_tiles_passes_through_the_networks(tiny_restorer: Restorer) -> None:
    seen: list[tuple[int, ...]] = []
    family = tiny_restorer.method.family
    hooks = [
        part.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))  # type: ignore[operator]
        for part in (family.unet, family.vae.encoder, family.vae.decoder)
    ]
    tiny_restorer.restore_tiles(picture(50, 90), people("a"), replace(SHORT, tile_batch=3), 0)
    for hook in hooks:
        hook.remove()
    assert {shape[2:] for shape in seen} == {(SIZE, SIZE), (4, 4)}
    assert max(shape[0] for shape in seen) == 2 * 3  # of the UNet, which guidance asks twice


# ---- the photo ----


def test_a_photo_is_enlarged_and_keeps_what_its_file_carried(tiny_restorer: Restorer) -> None:
    alpha = torch.linspace(0, 1, 20 * 24).view(1, 20, 24)
    photo = Photo(picture(20, 24), alpha, bit_depth=16, dpi=(300.0, 300.0), icc=b"profile", source="a.png")
    told: list[tuple[int, int]] = []
    result = whole(tiny_restorer, photo, replace(SHORT, scale=2.5), progress=lambda *step: told.append(step))
    assert result.image.pixels.shape == (3, 50, 60) and result.image.alpha.shape == (1, 50, 60)
    assert (result.image.bit_depth, result.image.dpi, result.image.icc) == (16, (300.0, 300.0), b"profile")
    layout = tile_layout(tiny_restorer.method.family, (50, 60), 0.5)
    assert result.tiles == len(layout) == 3 * 3  # 7 x 8 cells, tiles of 4 from 0, 2 and 3 or 4
    assert result.changed and result.faces == () and result.to_json("b.png")["tiles"] == 9
    assert told[-1] == (2 * 9, 2 * 9) and [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_size_may_be_asked_for_instead_of_a_scale(tiny_restorer: Restorer) -> None:
    result = whole(tiny_restorer, Photo(picture(20, 24)), replace(SHORT, size=(33, 80), steps=1))
    assert result.image.pixels.shape == (3, 33, 80)
    with pytest.raises(RecipeError, match="give one of them"):
        RestoreSettings(size=(33, 80), scale=2.0)


def test_a_grey_photo_stays_grey_unless_it_need_not(tiny_restorer: Restorer) -> None:
    photo = Photo(picture(40, 40).mean(0, keepdim=True).expand(3, 40, 40).contiguous(), is_grey=True)
    for keeps in (True, False):
        pixels = whole(tiny_restorer, photo, replace(SHORT, colour="none", keep_grey=keeps)).image.pixels
        assert bool((pixels == pixels[:1]).all()) is keeps


@pytest.mark.parametrize("scale", [1.0, 1.3, 4.0, 20.0])
def test_sides_become_as_many_times_as_long_as_asked_up_to_20(scale: float) -> None:
    photo = Photo(torch.zeros(3, 10, 31))
    assert wanted_size(photo, RestoreSettings(scale=scale)) == (round(10 * scale), round(31 * scale))


def test_what_would_be_too_large_is_refused_before_the_work() -> None:
    photo = Photo(torch.zeros(3, 300, 400), source="old.jpg")
    with pytest.raises(TooLargeError, match=r"old.jpg: 400 x 300 would become 8000 x 6000, 48.0 meg.* limit is 40: .*"):
        wanted_size(photo, RestoreSettings(scale=20.0, max_pixels=40_000_000))
    assert wanted_size(photo, RestoreSettings(scale=20.0, max_pixels=48_000_000)) == (6000, 8000)
    with pytest.raises(RecipeError, match="400 x 300 would become 8001 x 300; a side can become 20 times as long"):
        wanted_size(photo, RestoreSettings(size=(300, 8001)))
    for scale in (0.5, 20.5):
        with pytest.raises(RecipeError, match=f"scale is {scale}; it must be from 1 to 20"):
            RestoreSettings(scale=scale)


def test_tiles_are_for_methods_that_need_no_aligned_faces_alone(
    tiny_restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, steps = Photo(picture(40, 40)), {"steps": 1}

    def tiles(**settings: Any) -> int:
        return restore_any(tiny_restorer, photo, (), RestoreSettings(**steps, **settings)).tiles

    assert tiles() == 0
    for asked in ({"tile": True}, {"scale": 2.0}, {"size": (50, 50)}):
        with pytest.raises(
            RecipeError, match="'faceme' knows upright face squares alone, .* or choose --method pfstorer"
        ):
            tiles(**asked)
    with pytest.raises(RecipeError, match="leave out --no-tile, or --scale"):
        tiles(tile=False, scale=2.0)
    with pytest.raises(RecipeError, match="leave out --aligned, or --tile"):
        restore_any(tiny_restorer, photo, (), RestoreSettings(tile=True), is_aligned=True)
    monkeypatch.setitem(DEFAULTS, "faceme", Defaults(takes_any_crop=True))
    assert tiles() == tiles(tile=True) == 4 and tiles(tile=False) == 0 and tiles(scale=2.0) > 4
    small = Photo(picture(SIZE, SIZE))
    assert restore_any(tiny_restorer, small, (), RestoreSettings(**steps)).tiles == 0


# ---- colours ----


@pytest.mark.parametrize("name", ["wavelet", "adain", "none"])
@pytest.mark.parametrize("rows", [31, 40, 1000])
def test_colours_fixed_by_strips_are_those_of_the_whole(name: str, rows: int) -> None:
    restored, low = (torch.rand(3, 150, 50, generator=generator(0, name)) for name in ("restored", "low"))
    expected = COLOUR_FIXES[name](restored[None], low[None])[0]
    fix_large(name, restored, low, rows)
    assert float((restored - expected).abs().max()) < 1e-5


# ---- the command ----


def test_the_command_says_that_it_was_done_by_tiles_and_how_many(
    tiny_family_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEFAULTS, "faceme", Defaults(takes_any_crop=True))
    photo, out = tmp_path / "in.png", tmp_path / "out.png"
    write_photo(Photo(picture(20, 30), bit_depth=16), photo)
    words = ["restore", photo, "-o", out, "--family", tiny_family_folder, "--steps", 1, "--tile", "--scale", 2]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    # 5 x 8 cells: tiles of 4 from 0 and 1, and from 0, 2 and 4.
    assert "whole picture restored by 6 tiles, 60 x 40 px" in result.stdout
    read = read_photo(out)
    assert read.pixels.shape == (3, 40, 60) and read.bit_depth == 16
    assert len(np.unique((read.pixels * 65535).round().numpy())) > 1000  # not 8 bits in a 16-bit file
    result = CliRunner().invoke(app, [str(word) for word in [*words, "--json", "--force", "--max-pixels", 2000]])
    assert result.exit_code == 1 and "60 x 40, 0.0 megapixels" in result.stderr
