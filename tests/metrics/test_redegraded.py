"""Consistency: the truth has 0 dB, a known contradiction a known value; fitting the low picture's noise is no merit."""

import math
from dataclasses import replace

import pytest
import torch

from keepface.degrade.chains import PRESETS, draw, replay
from keepface.degrade.drawn import Step
from keepface.image.size import resize
from keepface.metrics.redegraded import ROUNDING, Damage, consistency
from keepface.seeds import generator, numpy_generator

SHRUNK = (Step("resize area", {"height": 8, "width": 8}), Step("resize", {"height": 32, "width": 32}))


def drawn(size: int = 64, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(3, 9, 9, generator=generator(seed, "drawn"))
    return 0.2 + 0.6 * resize(coarse, (size, size), "bicubic")


@pytest.mark.parametrize("preset", PRESETS)
def test_the_truth_agrees_wholly(preset: str) -> None:
    truth = drawn()
    damage = Damage.of(truth, draw(PRESETS[preset], numpy_generator(1, preset), 64))
    assert torch.equal(damage.low, replay(damage.steps, truth))
    assert consistency(truth, truth, damage) == 0


@pytest.mark.parametrize("shift", [0.05, -0.1])
def test_a_shifted_picture_is_as_far_off_as_its_shift_over_the_noise(shift: float) -> None:
    truth = torch.full((3, 32, 32), 0.5)
    noise = 0.02 * (1 - 2 * (torch.arange(32) % 2)).expand(3, 32, 32)  # +-0.02 by columns: a mean square of 0.0004
    damage = Damage(truth + noise, SHRUNK)
    expected = 10 * math.log10(0.0004 / (0.0004 + shift**2))
    assert consistency(truth + shift, truth, damage) == pytest.approx(expected, abs=1e-4)


def test_without_noise_the_truth_errs_by_no_less_than_rounding() -> None:
    truth = torch.full((3, 32, 32), 0.5)
    damage = Damage.of(truth, SHRUNK)
    assert consistency(truth + 0.1, truth, damage) == pytest.approx(10 * math.log10(ROUNDING / 0.01), abs=1e-4)
    assert consistency(truth + 0.5 / 255 / 2, truth, damage) == 0


def test_detail_that_the_degradation_takes_away_may_be_invented_and_what_it_keeps_may_not() -> None:
    truth = drawn(32)
    damage = Damage.of(truth, SHRUNK)
    stripes = 0.1 * (1 - 2 * (torch.arange(32) % 2)).expand(3, 32, 32)  # gone in the mean of 4 x 4 pixels
    assert consistency(truth + stripes, truth, damage) == 0
    assert consistency(1 - truth, truth, damage) < -20


def test_fitting_the_noise_is_no_merit() -> None:
    truth = drawn(32)
    damage = Damage.of(truth, (Step("noise", {"sigma": 10.0, "seed": 1}),))
    assert damage.without_noise == ()
    assert consistency(damage.low, truth, damage) == 0
    assert consistency(truth + 0.1, truth, damage) < -5


def test_every_step_of_chance_is_left_out_and_every_other_kept() -> None:
    settings = replace(PRESETS["pf-heavy"], camera=1.0, motion=1.0, median=1.0)
    for seed in range(12):
        steps = draw(settings, numpy_generator(seed, "kinds"), 64)
        left = [step for step in steps if "noise" not in step.kind and step.kind != "camera"]
        assert Damage(drawn(), steps).without_noise == tuple(left)
        assert len(left) < len(steps)
