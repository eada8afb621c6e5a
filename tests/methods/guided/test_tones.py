import pytest
import torch

from keepface.image.colour import is_grey
from keepface.methods.guided.tones import CENTRE, SPREAD, Tones, face_ellipse, fit_colour, to_rgb, to_ycc


def faces(count: int = 3, side: int = 64) -> torch.Tensor:
    smooth = torch.nn.functional.interpolate(
        torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1)), side
    )
    return 0.2 + 0.6 * smooth


def test_the_way_to_the_common_tones_leads_back() -> None:
    squares = faces()
    tones = Tones.of(squares)
    assert torch.allclose(tones.from_common(tones.to_common(squares)), squares, atol=1e-5)


def test_luminance_and_colour_differences_lead_back_and_grey_has_no_colour() -> None:
    rgb = torch.rand(2, 3, 4, 4)
    assert torch.allclose(to_rgb(to_ycc(rgb)), rgb, atol=1e-5)
    grey = torch.rand(1, 1, 4, 4).expand(1, 3, 4, 4)
    assert float(to_ycc(grey)[:, 1:].abs().max()) < 1e-6


def test_in_the_common_tones_every_face_has_the_same_mean_and_spread() -> None:
    common = (Tones.of(faces()).to_common(faces()) + 1) / 2
    again = Tones.of(common)
    assert torch.allclose(again.mean, CENTRE.expand(3, 3), atol=1e-5)
    assert again.spread.tolist() == pytest.approx([SPREAD] * 3, rel=1e-4)


@pytest.mark.parametrize(("gain", "black"), [(0.3, 0.4), (0.1, 0.02), (0.9, 0.1)])
def test_a_faded_or_dark_face_is_the_same_in_the_common_tones(gain: float, black: float) -> None:
    squares = faces()
    faded = gain * squares + black
    assert torch.allclose(Tones.of(faded).to_common(faded), Tones.of(squares).to_common(squares), atol=1e-3)


def test_references_of_a_grey_photo_become_grey_but_for_the_common_cast() -> None:
    grey = faces(1).mean(1, keepdim=True).expand(1, 3, 64, 64)
    colourful = faces(2)
    tones, own = Tones.of(grey), Tones.of(colourful)
    fitted = fit_colour(own.to_common(colourful)[None], own.colour[None], tones.colour)
    back = tones.from_common(fitted[0])
    assert is_grey(back)


def test_the_ellipse_of_the_face_has_its_area() -> None:
    assert float(face_ellipse(200, torch.device("cpu")).mean()) == pytest.approx(torch.pi * 0.28 * 0.36, rel=0.01)
