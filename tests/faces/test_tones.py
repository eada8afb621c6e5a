import pytest
import torch
from torch import Tensor

from keepface.faces.tones import MIDDLE, SPREAD, Tones, tones_of

SIDE = 64


def face(dark: float, bright: float) -> Tensor:
    """Draw tones spread evenly from dark to bright, in three channels that differ."""
    ramp = torch.linspace(0, 1, SIDE).expand(3, SIDE, SIDE)
    return dark + (bright - dark) * ramp + torch.tensor([0.02, 0.0, -0.02]).view(3, 1, 1)


@pytest.mark.parametrize(("dark", "bright"), [(0.1, 0.9), (0.2, 0.95), (0.05, 0.8)])
def test_a_well_exposed_face_keeps_its_bits(dark: float, bright: float) -> None:
    square = face(dark, bright)
    tones = tones_of(square)
    assert tones.is_identity and torch.equal(tones.there(square), square) and torch.equal(tones.back(square), square)


@pytest.mark.parametrize(("dark", "bright"), [(0.0, 0.15), (0.4, 0.6), (0.7, 0.9), (0.25, 0.55)])
def test_flat_tones_go_there_and_back(dark: float, bright: float) -> None:
    square = face(dark, bright).clamp(0, 1)
    tones = tones_of(square)
    there = tones.there(square)
    inside = (there > 0) & (there < 1)
    assert inside.float().mean() > 0.95
    assert torch.allclose(tones.back(there)[inside], square[inside], atol=1e-6)
    again = tones_of(there)
    assert again.gain == pytest.approx(1, abs=0.05)


def test_a_face_of_half_the_spread_or_less_is_brought_to_the_middle() -> None:
    stretched = tones_of(face(0.02, 0.2)).there(face(0.02, 0.2))
    assert float(stretched[1].mean()) == pytest.approx(MIDDLE, abs=0.02)
    assert float(stretched[1].max() - stretched[1].min()) > SPREAD


def test_the_line_changes_steadily_at_the_spread_where_it_begins() -> None:
    wide = SPREAD / 0.57  # the ellipse's rows cut the ramp's ends off
    gains = [tones_of(face(0.2, 0.2 + wide * share)).gain for share in (0.9, 0.99, 1.01, 1.2)]
    assert gains == sorted(gains, reverse=True) and gains[-1] == 1
    just = tones_of(face(0.2, 0.2 + wide * 0.97))
    assert 1 < just.gain < 1.1 and abs(just.known - just.own) < 0.02


def test_grey_stays_grey_and_the_differences_of_channels_only_scale() -> None:
    grey = face(0.3, 0.4)[1:2].expand(3, -1, -1)
    tones = tones_of(grey)
    there = tones.there(grey)
    assert torch.equal(there[0], there[1]) and torch.equal(tones.back(there)[0], tones.back(there)[2])
    sepia = face(0.3, 0.4)
    own = tones_of(sepia)
    stretched = own.there(sepia)
    inside = ((stretched > 0) & (stretched < 1)).all(0)
    difference = (stretched[0] - stretched[2])[inside]
    assert inside.float().mean() > 0.5 and torch.allclose(
        difference, own.gain * (sepia[0] - sepia[2])[inside], atol=1e-5
    )


def test_one_tone_alone_is_stretched_no_further_than_eight_times() -> None:
    assert tones_of(torch.full((3, SIDE, SIDE), 0.5)).gain == 8
    assert Tones().is_identity
