import dataclasses
import functools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from keepface.degrade.chains import PRESETS, Step, replay
from keepface.degrade.second_order import SECOND, Order, SecondOrderSettings, draw_second_order
from keepface.errors import RecipeError
from keepface.train.recipe import BatchSettings

STABLESR = SecondOrderSettings(clean=0.0)
MIX = SecondOrderSettings(clean=0.03, motion=0.2, camera=0.25, median=0.1)
COUNT = 1000
BLURS = ("blur", "generalised blur", "plateau blur", "sinc")


@functools.cache
def draws(settings: SecondOrderSettings, count: int = COUNT, size: int = 512) -> list[tuple[Step, ...]]:
    rng = np.random.default_rng(0)
    return [draw_second_order(settings, rng, size) for _ in range(count)]


def kinds(steps: tuple[Step, ...]) -> list[str]:
    return [step.kind for step in steps]


def first_blurs(drawn: list[tuple[Step, ...]]) -> list[Step]:
    return [steps[0] for steps in drawn]


def assert_share(found: float, wanted: float, count: int = COUNT) -> None:
    assert found == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / count) ** 0.5 + 1e-9)


def noises(drawn: list[tuple[Step, ...]], place: int) -> list[Step]:
    return [[step for step in steps if "noise" in step.kind][place] for steps in drawn]


def test_the_chain_has_the_published_order():
    for steps in draws(STABLESR, 50):
        names = ["resize" if "resize" in name else "noise" if "noise" in name else name for name in kinds(steps)]
        plain = [name for name in names if name not in BLURS]
        ends = [["resize", "jpeg"], ["jpeg", "resize"]]
        assert plain[:5] == ["resize", "noise", "jpeg", "resize", "noise"]
        assert plain[5:7] in ends and plain[7:] == ["round", "resize"]
        assert names[0] in BLURS
        assert steps[-1] == Step("resize bicubic", {"height": 512, "width": 512})


def test_kernels_come_as_often_as_published():
    found = Counter()
    for step in first_blurs(draws(STABLESR)):
        found[step.kind, step.kind != "sinc" and step.values["sigma_x"] != step.values["sigma_y"]] += 1
    shares = {
        ("blur", False): 0.45,
        ("blur", True): 0.25,
        ("generalised blur", False): 0.12,
        ("generalised blur", True): 0.03,
        ("plateau blur", False): 0.12,
        ("plateau blur", True): 0.03,
    }
    assert_share(found["sinc", False] / COUNT, 0.1)
    for name, share in shares.items():
        assert_share(found[name] / COUNT, 0.9 * share)


def test_kernel_sizes_are_the_odd_ones_from_7_to_21_alike():
    sizes = Counter(step.values["kernel"] for step in first_blurs(draws(STABLESR)))
    assert sorted(sizes) == [7, 9, 11, 13, 15, 17, 19, 21]
    for size in sizes:
        assert_share(sizes[size] / COUNT, 1 / 8)


def test_kernel_values_stay_in_their_ranges_and_half_the_shapes_are_below_one():
    blurs = first_blurs(draws(STABLESR))
    sigma = np.array([step.values["sigma_x"] for step in blurs if step.kind != "sinc"])
    assert 0.2 <= sigma.min() < 0.22 and 1.48 < sigma.max() <= 1.5
    beta = np.array([step.values["beta"] for step in blurs if step.kind == "generalised blur"])
    assert 0.5 <= beta.min() < 0.6 and 1.8 < beta.max() <= 2.0
    assert_share(np.mean(beta < 1), 0.5, len(beta))
    flat = np.array([step.values["beta"] for step in blurs if step.kind == "plateau blur"])
    assert flat.min() == 1.0 and 1.4 < flat.max() <= 1.5
    assert_share(np.mean(flat == 1), 0.5, len(flat))  # the range begins at 1, so the lower half is 1
    sincs = [step for step in blurs if step.kind == "sinc"]
    for step in sincs:
        assert (math.pi / 3 if step.values["kernel"] < 13 else math.pi / 5) <= step.values["cutoff"] <= math.pi
    assert min(step.values["cutoff"] for step in sincs) < math.pi / 3


def test_the_second_blur_and_the_last_sinc_come_as_often_as_published():
    second = last = 0
    for steps in draws(STABLESR):
        names = kinds(steps)
        second += names[names.index("jpeg") + 1] in BLURS
        last += "sinc" in names[names.index("round") - 2 : names.index("round")]
    assert_share(second / COUNT, 0.5)
    assert_share(last / COUNT, 0.8)


def test_sizes_are_larger_smaller_and_kept_as_often_as_published():
    sizes, modes, ends = [], Counter(), []
    for steps in draws(STABLESR):
        resizes = [step for step in steps if "height" in step.values]
        sizes.append([step.values["height"] for step in resizes])
        modes.update(step.kind for step in resizes[:3])
        ends.append(kinds(steps)[-3] == "jpeg")
    first, second, last, back = np.array(sizes).T
    for found, base, shares in ((first, 512, (0.2, 0.7, 0.1)), (second, 128, (0.3, 0.4, 0.3))):
        # flooring hides the rare larger draw that gains no whole pixel
        for is_found, share in zip((found > base, found < base, found == base), shares, strict=True):
            assert np.mean(is_found) == pytest.approx(share, abs=0.05)
    assert first.min() >= 0.3 * 512 - 1 and first.max() <= 1.5 * 512
    assert second.min() >= 0.6 * 128 - 1 and second.max() <= 1.2 * 128
    assert set(last) == {128} and set(back) == {512}
    for mode in ("resize", "resize area", "resize bicubic"):
        assert_share(modes[mode] / (3 * COUNT), 1 / 3, 3 * COUNT)
    assert_share(np.mean(ends), 0.5)


@pytest.mark.parametrize(("place", "sigma", "scale"), [(0, (1, 15), (0.05, 2)), (1, (1, 12), (0.05, 1))])
def test_noise_is_gaussian_or_poisson_and_grey_as_often_as_published(place, sigma, scale):
    found = noises(draws(STABLESR), place)
    gaussian = [step.values["sigma"] for step in found if "sigma" in step.values]
    poisson = [step.values["scale"] for step in found if "scale" in step.values]
    assert_share(len(gaussian) / COUNT, 0.5)
    assert_share(np.mean([step.kind.startswith("grey") for step in found]), 0.4)
    for values, (low, high) in ((gaussian, sigma), (poisson, scale)):
        assert low <= min(values) and max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2, rel=0.12)


def test_jpeg_qualities_fill_their_ranges():
    qualities = np.array(
        [[step.values["quality"] for step in steps if step.kind == "jpeg"] for steps in draws(STABLESR)]
    )
    assert (qualities.min(0).tolist(), qualities.max(0).tolist()) == ([60, 60], [94, 99])


def test_the_mix_has_each_of_its_parts_as_often_as_the_paper_or_our_choice_says():
    drawn = draws(MIX)
    dirty = [kinds(steps) for steps in drawn if steps]
    assert_share(1 - len(dirty) / COUNT, 0.03)
    for name, share in (("motion blur", 0.2), ("camera", 0.25), ("median", 0.1)):
        assert_share(np.mean([name in names for names in dirty]), share, len(dirty))


def test_the_mix_is_in_order():
    places = set()
    for steps in draws(MIX):
        names = kinds(steps)
        noisy = [place for place, name in enumerate(names) if "noise" in name]
        if "motion blur" in names:
            assert names.index("motion blur") == 0
        if "camera" in names:
            assert names.index("jpeg") < names.index("camera") < noisy[1]
        if "median" in names:
            assert noisy[0] < names.index("median") < names.index("round")
            places.add(names.index("median") - noisy[0])
    assert len(places) > 4


def test_motion_is_a_share_of_the_side():
    for size in (512, 128):
        moved = [
            steps[0].values["length"] for steps in draws(MIX, 300, size) if steps and steps[0].kind == "motion blur"
        ]
        assert 5 * size / 512 <= min(moved) and max(moved) <= 25 * size / 512


def test_a_part_left_out_leaves_the_others_as_they_were():
    for with_it, without in zip(draws(MIX, 100), draws(dataclasses.replace(MIX, camera=0.0), 100), strict=True):
        assert tuple(step for step in with_it if step.kind != "camera") == without


def test_a_small_picture_seen_as_a_large_one_keeps_as_many_pixels_as_the_large_one_leaves():
    as_of = dataclasses.replace(MIX, of_px=(512.0, 512.0))
    assert draws(as_of, 40) == draws(MIX, 40)
    for large, small in zip(draws(as_of, 100), draws(as_of, 100, 128), strict=True):
        large_noise, small_noise = noises([large], 0)[0] if large else None, noises([small], 0)[0] if small else None
        if large_noise is None:
            assert small_noise is None
            continue
        side, shown = (
            next(step for step in steps if "height" in step.values).values["height"] for steps in (large, small)
        )
        name = "sigma" if "sigma" in large_noise.values else "scale"
        # averaging squares of (side / shown)^2 pixels divides independent noise by side / shown
        assert small_noise.values[name] == pytest.approx(large_noise.values[name] * shown / side, rel=0.02)
        assert shown == (min(side, 128) if side <= 512 else pytest.approx(side / 4, abs=1))
        last = [step for step in small if "height" in step.values][-2]
        assert last.values["height"] == 128  # 512 / 4


def test_seen_as_twice_as_large_a_sensor_has_a_quarter_of_the_variance():
    twice = dataclasses.replace(MIX, of_px=(512.0, 512.0), camera=1.0, clean=0.0, first=Order(scale=(1.0, 1.0)))
    for large, small in zip(draws(twice, 20), draws(twice, 20, 256), strict=True):
        camera, seen = (next(step.values for step in steps if step.kind == "camera") for steps in (large, small))
        for name in ("shot", "read"):
            assert seen[name] == pytest.approx(camera[name] / 4)
        assert seen["red"] == camera["red"] and seen["seed"] == camera["seed"]


def test_a_photo_that_is_not_square_comes_back_at_its_size():
    image = torch.rand(3, 40, 73, generator=torch.Generator().manual_seed(5))
    for seed in range(12):
        steps = draw_second_order(MIX, np.random.default_rng(seed), (40, 73))
        low = replay(steps, image)
        assert low.shape == image.shape and low.min() >= 0 and low.max() <= 1


def test_heavy_is_worse_than_light():
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 96), indexing="ij")
    image = torch.stack([x, y, 0.5 + 0.4 * torch.sin(40 * x * y)])
    errors = {}
    for name in ("pf-light", "pf-heavy"):
        drawn = [draw_second_order(PRESETS[name], np.random.default_rng(seed), 96) for seed in range(30)]
        errors[name] = np.mean([(replay(steps, image) - image).square().mean().item() for steps in drawn])
    assert errors["pf-light"] < 0.6 * errors["pf-heavy"]


def test_a_recipe_names_the_new_presets():
    names = ("second-order", "pfstorer", "pf-light", "pf-heavy")
    assert BatchSettings(degradations=names).pairs().degradations == tuple(PRESETS[name] for name in names)
    assert PRESETS["pfstorer"].clean == 0.03


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kinds": (0.5, 0.5, 0.5, 0.0, 0.0, 0.0)}, "kinds is .*must add up to 1"),
        ({"clean": 1.5}, "clean is 1.5"),
        ({"kernel": (8, 21)}, "must be odd"),
        ({"shrink": 0.5}, "shrink 0.5 1 or more"),
        ({"motion_length": (9.0, 5.0)}, "motion_length is .*must rise"),
        ({"of_px": (512.0, 128.0)}, "of_px is .*must rise"),
        ({"first": Order(scale=(1.2, 1.5))}, "order 1: scale .* must enclose 1"),
        ({"second": dataclasses.replace(SECOND, jpeg=(60, 101))}, "order 2: .*100 or below"),
        ({"second": dataclasses.replace(SECOND, plateau_beta=(1.2, 1.5))}, "plateau_beta is .*enclose 1"),
        ({"first": Order(sinc=-0.1)}, "order 1: sinc is -0.1"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(wrong, message):
    with pytest.raises(RecipeError, match=f"degradation: .*{message}"):
        SecondOrderSettings(**wrong)
