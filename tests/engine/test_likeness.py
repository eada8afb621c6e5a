import cv2
import numpy as np
import pytest
import torch

from keepface.engine.likeness import LIBRARY_FLOORS, TOO_BLURRED, clarity, library_floor, probability
from keepface.faces.align import template_face
from keepface.image.files import read_photo

from .plain_restorer import ANNA, PlainRestorer, person

SIDE = 112


def speckled(sigma: float) -> torch.Tensor:
    """White noise seen through a blur of `sigma` px, as contrasty before as after."""
    noise = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
    return torch.from_numpy(0.5 + 0.1 * blurred / blurred.std()).expand(3, -1, -1).contiguous()


def test_clarity_falls_as_the_blur_grows() -> None:
    values = [clarity(speckled(sigma), template_face(SIDE)) for sigma in (1.5, 3.0, 6.0, 12.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < TOO_BLURRED < values[0]


def test_of_a_face_without_detail_nobody_can_tell_whose_it_is() -> None:
    assert probability("facenet", 0.9, torch.full((3, SIDE, SIDE), 0.5), template_face(SIDE)) is None


def test_more_contrast_is_not_more_clarity() -> None:
    picture, face = speckled(3.0), template_face(SIDE)
    flat = 0.5 + (picture - 0.5) / 2
    assert clarity(flat, face) == pytest.approx(clarity(picture, face), rel=0.02)


@pytest.mark.shared
def test_a_sharp_photo_s_person_can_be_told_and_not_that_of_its_blurred_copy(restorer: PlainRestorer) -> None:
    pixels = read_photo(person(ANNA)[0]).pixels
    face = restorer.embedder.detector.detect(pixels)[0]
    blurred = cv2.GaussianBlur(pixels.permute(1, 2, 0).numpy(), (0, 0), 9.0)
    chances = [probability("facenet", cosine, pixels, face) for cosine in (0.0, 0.9)]
    assert chances[0] is not None and chances[1] is not None and chances[0] < 0.2 < 0.9 < chances[1]
    assert probability("facenet", 0.9, torch.from_numpy(blurred).permute(2, 0, 1), face) is None


@pytest.mark.parametrize("name", list(LIBRARY_FLOORS))
def test_more_references_need_less_likeness(name: str) -> None:
    floors = [library_floor(name, count) for count in (1, 2, 3, 4, 30)]
    assert floors == sorted(floors, reverse=True) and floors[2] == floors[4]
