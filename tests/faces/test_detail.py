"""How much detail a face holds, on pictures whose spectrum is known because it was drawn."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.degrade.jpeg import jpeg
from keepface.faces.align import ffhq_template
from keepface.faces.detail import SLOPE, face_spectrum, measure_detail, sharpness
from keepface.image.size import resize

SIDES = (64, 96, 128, 192, 320)


def drawn(side: int, seed: int = 0, contrast: float = 0.12) -> Tensor:
    """Draw a picture whose power falls as a sharp face's does, up to the finest frequency its pixels hold.

    Phases are random, and what is fine lies around eyes and mouth: a face is busy in some places and calm in between.
    """
    rng = np.random.default_rng(seed)
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    amplitude = np.where(k > 0, np.maximum(k, 1) ** (-SLOPE / 2), 0) * np.exp(2j * np.pi * rng.random(k.shape))
    coarse, fine = (np.fft.irfft2(amplitude * part, (side, side)) for part in (k < 9, k >= 9))
    y, x = np.mgrid[:side, :side] / side
    busy = sum(np.exp(-(((x - a) ** 2 + (y - b) ** 2) / 0.01)) for a, b in ((0.38, 0.47), (0.62, 0.47), (0.5, 0.72)))
    face = ((x - 0.5) / 0.30) ** 2 + ((y - 0.58) / 0.36) ** 2 <= 1
    picture = coarse + fine * busy / np.sqrt((busy[face] ** 2).mean())
    picture = 0.5 + contrast * picture / picture.std()
    return torch.from_numpy(picture.astype(np.float32)).clamp(0, 1).expand(3, -1, -1).contiguous()


def held(picture: Tensor) -> float:
    return measure_detail(picture, ffhq_template(picture.shape[-1])).held_px


@pytest.mark.parametrize("side", SIDES)
def test_a_sharp_picture_holds_as_much_as_its_pixels_can(side: int) -> None:
    found = measure_detail(drawn(side), ffhq_template(side))
    assert found.side_px == pytest.approx(side, rel=1e-3) and found.held_px == pytest.approx(side, rel=0.1)


@pytest.mark.parametrize("side", [48, 64, 96])
@pytest.mark.parametrize("times", [2, 3, 5])
def test_an_enlarged_picture_holds_what_it_held_before(side: int, times: int) -> None:
    large = resize(drawn(side), (side * times, side * times), "bicubic").clamp(0, 1)
    assert held(large) == pytest.approx(side, rel=0.3)


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_a_blurred_picture_holds_what_the_gaussian_lets_through(sigma: float) -> None:
    side = 256
    blurred = cv2.GaussianBlur(drawn(side)[0].numpy(), (0, 0), sigma)
    # exp(-(2 pi f sigma)^2) of the power is left: a quarter at f = sqrt(ln 4) / (2 pi sigma) cycles a pixel
    expected = 2 * side * np.sqrt(np.log(4)) / (2 * np.pi * sigma)
    assert held(torch.from_numpy(blurred).expand(3, -1, -1).contiguous()) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("side", [64, 128, 256])
@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.3])
def test_white_noise_is_no_detail(side: int, sigma: float) -> None:
    noise = sigma * torch.randn(1, side, side, generator=torch.Generator().manual_seed(side))
    noisy = drawn(side) + noise
    found = measure_detail(noisy, ffhq_template(side))
    assert found.held_px <= 1.02 * held(drawn(side))
    assert found.noise == pytest.approx(sigma, rel=0.35)
    blurred = torch.from_numpy(cv2.GaussianBlur(drawn(side)[0].numpy(), (0, 0), side / 40)).expand(3, -1, -1)
    assert held((blurred + noise).contiguous()) <= 1.3 * held(blurred.contiguous())


@pytest.mark.parametrize("quality", [10, 30, 60])
@pytest.mark.parametrize("times", [1, 3])
def test_jpeg_blocks_are_no_detail(quality: int, times: int) -> None:
    side = 96
    picture = resize(drawn(side), (side * times, side * times), "bicubic").clamp(0, 1)
    assert held(jpeg(picture, quality)) <= 1.15 * held(picture)


def test_contrast_and_brightness_make_no_difference() -> None:
    picture = drawn(160)
    squeezed = 0.2 + 0.25 * picture
    spectra = [face_spectrum(item, ffhq_template(160)) for item in (picture, squeezed)]
    assert sharpness(spectra[0]) == pytest.approx(sharpness(spectra[1]), rel=1e-3)


def test_a_turned_face_at_the_edge_of_its_photo_is_measured_where_it_is() -> None:
    picture = drawn(128)
    points = ffhq_template(128)
    turned, there = torch.rot90(picture, 1, (1, 2)).contiguous(), np.stack([points[:, 1], 127 - points[:, 0]], axis=1)
    assert held(picture) == pytest.approx(measure_detail(turned, there).held_px, rel=0.02)
    cut = picture[:, :, 20:].contiguous()
    assert measure_detail(cut, points - (20, 0)).held_px == pytest.approx(128, rel=0.15)


def test_a_flat_picture_holds_nothing() -> None:
    assert measure_detail(torch.full((3, 100, 100), 0.5), ffhq_template(100)).held_px < 20
