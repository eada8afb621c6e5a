"""How surely the references must show a face before they lead it; the recogniser's cosines are set by hand."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.engine.calibration import CURVES
from keepface.engine.choice import Choice, Knobs
from keepface.engine.likeness import clarity
from keepface.engine.matching import DOUBTFUL, choose
from keepface.engine.reason_words import sentence
from keepface.engine.references import Reference, References
from keepface.engine.settings import RestoreSettings
from keepface.errors import ReferencePhotoError
from keepface.faces.align import template_face
from keepface.faces.face import Face
from keepface.identity.embed import IdentityFeatures
from keepface.image.files import Photo
from keepface.seeds import generator

SIDE = 128
LENGTH = 5  # of an embedding


def drawn(count: int) -> tuple[Photo, list[Face]]:
    """Draw faces side by side, each of waves some 8 px long: as much fine detail as a sharp face has."""
    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    waves = 0.5 + 0.2 * torch.sin(x * 2 * math.pi / 8) * torch.sin(y * 2 * math.pi / 8)
    coarse = torch.nn.functional.interpolate(
        torch.rand(1, 1, 4, 4, generator=generator(0, "doubt")), (SIDE, SIDE), mode="bicubic"
    )[0, 0]
    square = (0.4 * waves + 0.6 * coarse).clamp(0, 1).expand(3, -1, -1)
    face = template_face(SIDE)
    faces = [
        Face(
            (face.box[0] + i * SIDE, face.box[1], face.box[2] + i * SIDE, face.box[3]),
            face.points + np.array([i * SIDE, 0], np.float32),
            1.0,
        )
        for i in range(count)
    ]
    return Photo(torch.cat([square] * count, dim=2)), faces


class Recogniser:
    """Gives each face, by its place from the left, a vector with the cosine asked for to the only reference."""

    name = "sface"

    def __init__(self, cosines: list[float]) -> None:
        self.cosines = cosines

    def embed(self, image: Tensor, face: Face) -> Tensor:
        place = int(face.centre[0] // SIDE)
        found = torch.zeros(LENGTH)
        found[0] = self.cosines[place]
        found[1 + place] = math.sqrt(1 - self.cosines[place] ** 2)  # of its own, so that no two faces are copies
        return found


def restorer_of(*cosines: float) -> Any:
    recogniser = Recogniser(list(cosines))
    return SimpleNamespace(embedder=SimpleNamespace(recogniser=recogniser), judge=recogniser)


def anna() -> References:
    features = IdentityFeatures(torch.eye(LENGTH)[0], torch.zeros(2), template_face(SIDE), {})
    return References((Reference("anna.png", features, torch.eye(LENGTH)[0], 1.0),))


def cosine_for(probability: float, detail: float) -> float:
    """Solve the curve of SFace for its cosine."""
    curve, c = CURVES["sface"], min(detail, 0.2)
    odds = math.log(probability / (1 - probability))
    return (odds - curve.start - curve.by_clarity * c) / (curve.by_cosine + curve.by_both * c)


@pytest.fixture(scope="module")
def doubtful() -> float:
    photo, faces = drawn(1)
    return cosine_for(0.17, clarity(photo.pixels, faces[0]))


@pytest.fixture(scope="module")
def likely() -> float:
    photo, faces = drawn(1)
    return cosine_for(0.3, clarity(photo.pixels, faces[0]))


@pytest.fixture(scope="module")
def sure() -> float:
    photo, faces = drawn(1)
    return cosine_for(0.6, clarity(photo.pixels, faces[0]))


def test_a_likely_face_is_led_fully_and_the_others_are_left_alone(sure: float, doubtful: float) -> None:
    photo, faces = drawn(3)
    plans = choose(restorer_of(0.0, sure, doubtful), photo, faces, anna(), RestoreSettings())
    assert [plan.is_restored for plan in plans] == [False, True, False]
    assert plans[1].identity is None and plans[1].reason is None
    assert [plan.reason and plan.reason.code for plan in plans] == ["not_this_person", None, "not_this_person"]


def test_the_only_face_if_doubtful_is_left_alone_until_it_is_asked_for(doubtful: float) -> None:
    photo, faces = drawn(1)
    (plan,) = choose(restorer_of(doubtful), photo, faces, anna(), RestoreSettings(identity=0.8))
    assert not plan.is_restored and plan.reason is not None and plan.reason.code == "unlikely"
    assert sentence([plan.reason], "unchanged") == (
        "left as it was: hardly the person of the references (probability 0.17); if it is them, ask for face 1"
    )
    (asked,) = choose(restorer_of(doubtful), photo, faces, anna(), RestoreSettings(choice=Choice(only=("1",))))
    assert asked.is_restored and asked.led_by is not None and asked.reason is None


def test_the_probability_that_is_told_is_the_one_that_decides(doubtful: float, likely: float) -> None:
    photo, faces = drawn(1)
    for cosine, is_restored in ((doubtful, False), (likely, True)):
        (plan,) = choose(restorer_of(cosine), photo, faces, anna(), RestoreSettings())
        chance = CURVES["sface"].probability(cosine, clarity(photo.pixels, faces[0]))
        assert plan.probability == pytest.approx(chance, abs=1e-3) and plan.is_restored is is_restored
        assert (plan.probability >= DOUBTFUL) is is_restored


def test_among_several_faces_even_a_likely_one_must_be_more_likely_theirs_than_not(
    likely: float, doubtful: float, sure: float
) -> None:
    photo, faces = drawn(2)
    for cosine, chance in ((doubtful, 0.17), (likely, 0.3)):
        restorer = restorer_of(0.0, cosine)
        plans = choose(restorer, photo, faces, anna(), RestoreSettings())
        assert not any(plan.is_restored for plan in plans)
        assert plans[1].reason is not None and sentence([plans[1].reason], "unchanged") == (
            "left as it was: of 2 faces the most like the references, but not surely this person "
            f"(probability {chance:.2f}); if it is them, ask for face 2"
        )
        with pytest.raises(ReferencePhotoError, match="of 2 faces the most like"):
            choose(restorer, photo, faces, anna(), RestoreSettings(strict=True))
        for settings in (
            RestoreSettings(choice=Choice(only=("2",))),
            RestoreSettings(same_person_floor=0.0),
            RestoreSettings(choice=Choice(knobs=(Knobs("2", None, 1.0),))),
        ):
            vouched = choose(restorer, photo, faces, anna(), settings)
            assert vouched[1].is_restored and vouched[1].reason is None and not vouched[0].is_restored
    plans = choose(restorer_of(0.0, sure), photo, faces, anna(), RestoreSettings())
    assert [plan.is_restored for plan in plans] == [False, True]


def test_of_a_face_too_blurred_to_tell_the_user_s_word_counts_and_of_several_nobody_s() -> None:
    photo, faces = drawn(2)
    flat = Photo(torch.full_like(photo.pixels, 0.5))
    (alone,) = choose(restorer_of(0.9), flat, faces[:1], anna(), RestoreSettings())
    assert alone.is_restored and alone.probability is None
    assert alone.reason is not None and alone.reason.code == "led_on_your_word"
    several = choose(restorer_of(0.9, 0.1), flat, faces, anna(), RestoreSettings())
    assert not any(plan.is_restored for plan in several)
    assert several[0].reason is not None and several[0].reason.code == "too_blurred_of_several"
