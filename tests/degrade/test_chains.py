import dataclasses
import json

import numpy as np
import pytest
import torch

from keepface.degrade.blur import filter2d, gaussian_kernel
from keepface.degrade.chains import (
    PRESETS,
    FirstOrderSettings,
    as_at,
    draw,
    draw_first_order,
    from_json,
    replay,
    replay_batch,
    to_json,
)
from keepface.degrade.drawn import Step
from keepface.degrade.jpeg import jpeg
from keepface.degrade.noise import gaussian_noise
from keepface.degrade.resample import bilinear
from keepface.errors import DataError, RecipeError

FULL = FirstOrderSettings()


def picture(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(5))


def draws(settings: FirstOrderSettings, count: int) -> list[tuple[Step, ...]]:
    rng = np.random.default_rng(0)
    return [draw_first_order(settings, rng, 512) for _ in range(count)]


def test_a_draw_has_the_order_of_equation_6():
    draw = draw_first_order(FULL, np.random.default_rng(0), 128)
    assert [step.kind for step in draw] == ["blur", "resize", "noise", "jpeg", "resize"]
    assert draw[-1].values == {"height": 128, "width": 128}


def test_equation_7_leaves_the_picture_small():
    settings = FirstOrderSettings(resize_back=False, scale=(4.0, 4.0))
    draw = draw_first_order(settings, np.random.default_rng(0), 64)
    assert [step.kind for step in draw] == ["blur", "resize", "noise", "jpeg"]
    assert replay(draw, picture()).shape == (3, 16, 16)


def test_replay_is_equation_6_written_out():
    blur, shrink, noise, block, enlarge = draw_first_order(FULL, np.random.default_rng(7), 64)
    kernel = gaussian_kernel(41, blur.values["sigma_x"], blur.values["sigma_y"], blur.values["theta"])
    low = bilinear(filter2d(picture(), kernel), shrink.values["height"], shrink.values["width"])
    low = jpeg(gaussian_noise(low, noise.values["sigma"], noise.values["seed"]), block.values["quality"])
    assert torch.equal(replay((blur, shrink, noise, block, enlarge), picture()), bilinear(low, 64, 64).clamp(0, 1))


def test_draws_fill_their_ranges_evenly():
    drawn = draws(FULL, 2000)
    sigma = np.array([draw[0].values["sigma_x"] for draw in drawn])
    noise = np.array([draw[2].values["sigma"] for draw in drawn])
    quality = np.array([draw[3].values["quality"] for draw in drawn])
    for values, low, high in ((sigma, 0.2, 10.0), (noise, 0.0, 15.0), (quality + 0.5, 30.0, 100.0)):
        error = (high - low) / 12**0.5 / len(values) ** 0.5  # standard error of a uniform variable's mean
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * error)
        assert low <= values.min() <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= values.max() <= high


def test_half_of_the_kernels_are_round():
    drawn = draws(FULL, 2000)
    is_round = [draw[0].values["sigma_x"] == draw[0].values["sigma_y"] for draw in drawn]
    assert np.mean(is_round) == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)


def test_the_side_is_divided_by_an_even_scale_and_floored():
    sides = np.array([draw[1].values["height"] for draw in draws(FULL, 2000)])
    assert sides.min() >= 32
    assert sides.max() <= 512
    assert np.mean(sides <= 512 // 8.5) == pytest.approx(0.5, abs=0.05)  # the scale's median is 8.5


def test_ranges_of_a_larger_picture_leave_a_small_one_with_as_much_of_its_face():
    large, small = (draw_first_order(PRESETS["published"], np.random.default_rng(3), size) for size in (512, 128))
    assert draw_first_order(FULL, np.random.default_rng(3), 512) == large
    for name in ("sigma_x", "sigma_y"):
        assert small[0].values[name] == pytest.approx(large[0].values[name] / 4)
    assert (large[0].values["kernel"], small[0].values["kernel"]) == (41, 11)
    assert small[3] == large[3]
    for seed in range(30):
        large, small = (
            draw_first_order(PRESETS["published"], np.random.default_rng(seed), size) for size in (512, 128)
        )
        side = large[1].values["height"]
        assert small[1].values["height"] == pytest.approx(min(side, 128), abs=1)
        # averaging squares of (side / 128)^2 pixels divides independent noise by side / 128
        assert small[2].values["sigma"] == pytest.approx(large[2].values["sigma"] * min(1, 128 / side), rel=0.02)


@pytest.mark.parametrize("preset", ["light", "medium", "heavy", "full"])
@pytest.mark.parametrize("size", [256, 512])
def test_told_for_a_smaller_square_a_draw_leaves_as_many_pixels_of_the_face(preset, size):
    factor = size / 128
    for seed in range(20):
        small = draw(PRESETS[preset], np.random.default_rng(seed), 128)
        large = draw(as_at(PRESETS[preset], 128, size), np.random.default_rng(seed), size)
        for sigma in ("sigma_x", "sigma_y"):
            assert large[0].values[sigma] == pytest.approx(factor * small[0].values[sigma])
        assert large[0].values["kernel"] // 2 == min(factor * (small[0].values["kernel"] // 2), 127)
        assert large[1] == small[1]  # the shrunken picture's side
        assert large[2:4] == small[2:4]  # its noise and JPEG
        assert large[4].values == {"height": size, "width": size}


def test_told_for_a_larger_square_a_draw_is_that_of_the_larger_one_seen_small():
    assert as_at(PRESETS["medium"], 512, 128) == dataclasses.replace(PRESETS["medium"], of_px=512)
    assert as_at(PRESETS["medium"], 128, 128) == PRESETS["medium"]


def test_settings_with_a_side_of_their_own_keep_it_and_those_that_count_pixels_twice_are_refused():
    for preset in ("published", "second-order", "pfstorer"):
        assert as_at(PRESETS[preset], 128, 256) == PRESETS[preset]
    with pytest.raises(RecipeError, match="counts pixels of the square at hand"):
        as_at(PRESETS["pf-heavy"], 128, 256)


def test_a_photo_that_is_not_square_comes_back_at_its_size():
    draw = draw_first_order(FULL, np.random.default_rng(2), (40, 72))
    assert replay(draw, picture(40, 72)).shape == (3, 40, 72)


def test_the_same_generator_state_draws_the_same_steps():
    assert draws(FULL, 5) == draws(FULL, 5)


def test_changing_one_range_leaves_the_other_values_alone():
    narrow = dataclasses.replace(FULL, blur_sigma=(1.0, 1.0), isotropic=1.0)
    for full, other in zip(draws(FULL, 20), draws(narrow, 20), strict=True):
        assert full[1:] == other[1:]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_draw_makes_the_same_picture_bit_for_bit_after_json(preset):
    for seed in range(8):
        steps = draw(PRESETS[preset], np.random.default_rng(seed), 64)
        again = from_json(to_json(steps))
        assert again == steps
        assert torch.equal(replay(steps, picture()), replay(again, picture()))


@pytest.mark.parametrize("preset", ["light", "medium", "heavy", "full", "published"])
def test_drawing_a_first_order_preset_is_drawing_the_first_order(preset):
    drawn, wanted = (function(PRESETS[preset], np.random.default_rng(3), 128) for function in (draw, draw_first_order))
    assert drawn == wanted


@pytest.mark.parametrize("preset", ["full", "pfstorer", "pf-heavy"])
def test_a_batch_is_its_pictures_one_by_one(preset):
    draws = [draw(PRESETS[preset], np.random.default_rng(seed), 48) for seed in range(6)]
    images = torch.rand(6, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    low = replay_batch(draws, images)
    assert all(torch.equal(low[place], replay(draws[place], images[place])) for place in range(6))


def test_a_batch_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="1 draws for 2 pictures"):
        replay_batch([()], picture().expand(2, -1, -1, -1))
    small = (Step("resize", {"height": 8, "width": 8}),)
    with pytest.raises(DataError, match="can't be stacked"):
        replay_batch([(), small], picture().expand(2, -1, -1, -1))


def test_a_draw_without_steps_leaves_the_picture_as_it_is():
    assert from_json(to_json(())) == ()
    assert torch.equal(replay((), picture()), picture())


def test_presets_split_every_range_without_gap_and_get_worse():
    levels = [PRESETS[name] for name in ("light", "medium", "heavy")]
    for name in ("blur_sigma", "scale", "noise_sigma"):
        ranges = [getattr(level, name) for level in levels]
        assert [ranges[0][0], ranges[2][1]] == list(getattr(FULL, name))
        assert ranges[0][1] == ranges[1][0] and ranges[1][1] == ranges[2][0]
    assert [level.jpeg for level in levels] == [(77, 100), (53, 77), (30, 53)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ('{"kind": "jpeg"}', "list of steps"),
        ('[{"kind": "fog"}]', "unknown kind 'fog'; known kinds: blur, generalised blur"),
        ('[{"kind": "jpeg"}]', "jpeg has no values; it needs quality"),
        ('[{"kind": "jpeg", "quality": 500}]', "quality is 500; it must be a number from 1 to 100"),
        ('[{"kind": "jpeg", "quality": true}]', "quality is True"),
        ('[{"kind": "jpeg", "quality": 7.5}]', "quality is 7.5"),
        ('[{"kind": "noise", "sigma": NaN, "seed": 1}]', "sigma is nan"),
        ('[{"kind": "blur", "kernel": 4, "sigma_x": 1, "sigma_y": 1, "theta": 0}]', "must be odd"),
        ('[{"kind": "median", "kernel": 7}]', "must be a number from 3 to 5"),
        ('[{"kind": "median", "kernel": 4}]', "median kernel is 4; it must be odd"),
        ('[{"kind": "sinc", "kernel": 7, "cutoff": 4}]', "cutoff is 4; it must be a number from"),
        ('[{"kind": "round", "levels": 8}]', "round has levels; it needs"),
    ],
)
def test_a_draw_that_cannot_be_replayed_is_refused_with_the_reason(text, message):
    with pytest.raises(DataError, match="(?s)a.json: .*") as error:
        from_json(text, "a.json")
    assert message in str(error.value)


@pytest.mark.parametrize("wrong", [{"scale": (0.5, 2.0)}, {"jpeg": (50, 30)}, {"kernel": 40}, {"jpeg": (30, 101)}])
def test_settings_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(RecipeError, match="degradation: "):
        FirstOrderSettings(**wrong)


def test_json_is_plain_and_flat():
    assert json.loads(to_json([Step("jpeg", {"quality": 40})])) == [{"kind": "jpeg", "quality": 40}]
