import math

import numpy as np
import pytest
import torch

from keepface.degrade.chains import from_json, replay, to_json
from keepface.degrade.old_photo import OldPhotoSettings, dither, draw_old_photo, halftone, scratch, tint, tones
from keepface.errors import RecipeError
from keepface.image.colour import is_grey


def test_tones_weaken_contrast_and_lift_black() -> None:
    picture = torch.tensor([0.0, 0.5, 1.0]).expand(3, 1, 3)
    assert tones(picture, 0.5, 0.2)[0, 0].tolist() == pytest.approx([0.2, 0.45, 0.7])


def test_a_tint_of_equal_gains_is_grey() -> None:
    picture = torch.rand(3, 4, 4)
    assert is_grey(tint(picture, 1.0, 1.0))
    brown = tint(picture, 1.2, 0.7)
    assert torch.allclose(brown[2], 0.7 * brown[1]) and torch.all(brown[0] >= brown[1])


@pytest.mark.parametrize("value", [0.25, 0.5, 0.75])
def test_the_mean_of_a_screened_area_follows_its_luma(value: float) -> None:
    flat = torch.full((3, 120, 120), value)
    dithered = dither(flat, 0)
    assert set(dithered.unique().tolist()) <= {0.0, 1.0} and is_grey(dithered)
    assert float(dithered.mean()) == pytest.approx((value - 0.1) / 0.8, abs=0.02)
    darker = halftone(torch.full((3, 120, 120), value - 0.2), 4.0, math.pi / 4).mean()
    assert float(halftone(flat, 4.0, math.pi / 4).mean()) > float(darker) + 0.05


def test_a_scratch_leaves_what_it_does_not_cover() -> None:
    picture = torch.rand(3, 64, 64)
    assert torch.equal(scratch(picture, 0, 0, 3), picture)
    scratched = scratch(picture, 2, 4, 3)
    kept = (scratched == picture).all(0).float().mean()
    assert 0.5 < float(kept) < 1 and torch.equal(scratch(picture, 2, 4, 3), scratched)


def test_what_is_drawn_can_be_replayed_from_json() -> None:
    picture = torch.rand(3, 48, 48)
    for seed in range(20):
        for steps in draw_old_photo(OldPhotoSettings(), np.random.default_rng(seed), 48):
            assert torch.equal(replay(from_json(to_json(steps)), picture), replay(steps, picture))


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(RecipeError, match="faded is 1.5"):
        OldPhotoSettings(faded=1.5)
