"""What may be pasted: nothing that is worse than the photo in anything that is measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from keepface.engine.matching import Plan
from keepface.engine.reasons import Reason
from keepface.engine.receipt import Trial, nothing_to_gain
from keepface.engine.result import Similarity
from keepface.faces.align import template_face
from keepface.faces.face import Face
from keepface.faces.quality import Quality, appearance, compare
from keepface.image.files import Photo

from ..faces.test_detail import drawn

UNKNOWN = Similarity()
PLAN = Plan(template_face(128))
BETTER = Quality(60.0, 90.0, 0.02, 0.01, 1.5, 1.2, 1.2, 0.99, 0.99, 0.02, 0.0, 0.0)
PHOTO = Photo(torch.zeros(3, 4, 4))


def codes(quality: Quality = BETTER, likeness: Similarity = UNKNOWN, plan: Plan = PLAN, chance: float = 0.9):
    trial = Trial("restored", PHOTO, likeness, quality, chance)
    assert all(reason.way == "restored" for reason in trial.objections(plan))
    return [reason.code for reason in trial.objections(plan)]


def test_what_is_better_or_as_good_in_everything_may_stay() -> None:
    assert codes() == [] and codes(likeness=Similarity(0.4, 0.4, 0.9)) == []
    assert codes(replace(BETTER, held_px_after=60.0)) == []  # as much detail, and less noise


@pytest.mark.parametrize(("change", "code"), [
    ({"held_px_after": 50.0, "fine_detail": 1.0}, "less_detail"),
    ({"fine_detail": 0.5}, "less_detail"),
    ({"eyes": 0.5}, "weaker"),
    ({"mouth": 0.8}, "weaker"),
    ({"score_after": 0.9}, "lost"),
    ({"score_after": 0.0}, "lost"),
    ({"moved": 0.13}, "moved"),
    ({"lighter": 0.05}, "other_brightness"),
    ({"lighter": -0.05}, "other_brightness"),
    ({"tinted": 0.05}, "other_colour"),
    ({"held_px_after": 61.0, "noise_after": 0.019}, "no_gain"),
])  # fmt: skip
def test_what_is_worse_in_one_thing_may_not(change: dict[str, float], code: str) -> None:
    assert codes(replace(BETTER, **change)) == [code]


def test_a_face_that_was_hardly_found_need_not_be_found_in_the_same_place() -> None:
    assert codes(replace(BETTER, score_before=0.5, score_after=0.0, moved=0.5)) == []


@pytest.mark.parametrize(("before", "after", "said"), [
    (0.42, 0.18, ["less_alike"]),
    (0.42, 0.4199, ["less_alike"]),  # no tolerance
    (0.42, 0.42, []),
    (None, None, []),
])  # fmt: skip
def test_no_likeness_may_be_lost(before: float | None, after: float | None, said: list[str]) -> None:
    assert codes(likeness=Similarity(before, after, 0.5)) == said


def test_a_matched_face_must_not_become_a_stranger() -> None:
    alike = Similarity(0.3, 0.4, 0.5)
    assert codes(likeness=alike, plan=replace(PLAN, is_matched=True), chance=0.01) == ["hardly_alike"]
    assert codes(likeness=alike, chance=0.01) == []  # the user says who it is


def plan_of(side: int) -> tuple[Photo, Plan]:
    return Photo(drawn(side)), Plan(template_face(side))


@pytest.mark.parametrize("side", [160, 256, 400])
def test_a_face_that_holds_more_than_the_model_makes_is_left_alone_before_anything_is_computed(side: int) -> None:
    reason = nothing_to_gain(*plan_of(side), 128)
    assert reason is not None and reason.code == "holds_more"
    assert reason.values["held"] == pytest.approx(side, rel=0.1) and reason.values["makes"] == 128
    assert nothing_to_gain(*plan_of(side), 512) is not None  # sharp at its own size


@pytest.mark.parametrize("side", [48, 64, 96, 128])
def test_a_sharp_face_of_any_size_is_left_alone_and_a_noisy_or_enlarged_one_is_not(side: int) -> None:
    photo, plan = plan_of(side)
    assert nothing_to_gain(photo, plan, 128) is not None
    noisy = photo.pixels + 0.05 * torch.randn(1, side, side, generator=torch.Generator().manual_seed(0))
    assert nothing_to_gain(Photo(noisy), plan, 128) is None
    large = torch.nn.functional.interpolate(photo.pixels[None], scale_factor=3.0, mode="bicubic")[0].clamp(0, 1)
    wide = Plan(template_face(3 * side))
    if side < 96:
        assert nothing_to_gain(Photo(large), wide, 128) is None


def test_a_sharp_square_that_comes_back_larger_has_something_to_gain() -> None:
    assert nothing_to_gain(*plan_of(64), 128, 128.0) is None


class Nowhere:
    """Finds a face where it is told, or none."""

    def __init__(self, faces: list[Face]) -> None:
        self.faces = faces

    def detect(self, image: torch.Tensor) -> list[Face]:
        return self.faces


def test_a_picture_compared_with_itself_has_lost_nothing() -> None:
    face, finder = template_face(128), Nowhere([template_face(128)])
    looks = appearance(drawn(128), face, finder)
    found = compare(looks, looks)
    assert (found.fine_detail, found.eyes, found.mouth) == (1, 1, 1)
    assert (found.moved, found.lighter, found.tinted) == (0, 0, 0) and found.score_after == 1
    assert found.held_px_before == found.held_px_after


def test_brightness_colour_blur_and_a_vanished_face_are_measured() -> None:
    picture, face = drawn(128), template_face(128)
    before = appearance(picture, face, Nowhere([face]))
    tint = torch.tensor([0.06, 0.0, 0.0]).view(3, 1, 1)
    lighter = compare(before, appearance(picture + 0.1, face, Nowhere([face])))
    assert lighter.lighter == pytest.approx(0.1, abs=0.01) and lighter.tinted == pytest.approx(0, abs=0.01)
    red = compare(before, appearance(picture + tint, face, Nowhere([])))
    assert red.lighter == pytest.approx(0.299 * 0.06, abs=2e-3) and red.score_after == 0
    assert red.tinted == pytest.approx(np.hypot(0.701 * 0.06, 0.299 * 0.06), abs=2e-3)
    small = torch.nn.functional.interpolate(picture[None], 32, mode="area")
    soft = torch.nn.functional.interpolate(small, 128, mode="bicubic")[0].clamp(0, 1)
    blurred = compare(before, appearance(soft, face, Nowhere([face])))
    assert blurred.held_px_after < 50 < blurred.held_px_before and blurred.fine_detail < 0.2


def test_a_reason_is_data_and_the_names_in_it_can_be_left_out() -> None:
    reason = Reason("unlikely_match", {"person": "anna", "probability": 0.123456})
    assert reason.to_json() == {"code": "unlikely_match", "values": {"person": "anna", "probability": 0.1235}}
    assert "anna" not in str(reason.unnamed().to_json()) and list(reason.names()) == ["anna"]
