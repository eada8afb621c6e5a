from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from keepface.degrade.chains import FirstOrderSettings
from keepface.errors import DataError, RecipeError
from keepface.seeds import numpy_generator
from keepface.train.guided.faces import Crop, Cut, FaceCrops
from keepface.train.guided.pairs import GuidedBatchSettings, GuidedPairs, bend, draw_damage, retone, scaled

from ...toy import POINTS

SETTINGS = GuidedBatchSettings(size=64)


def test_a_batch_is_a_pure_function_of_seed_and_step(crops: FaceCrops) -> None:
    pairs = GuidedPairs(crops, SETTINGS)
    first, again, other = pairs.batch(3, 2, 0), GuidedPairs(crops, SETTINGS).batch(3, 2, 0), pairs.batch(4, 2, 0)
    assert all(torch.equal(getattr(first, item.name), getattr(again, item.name)) for item in fields(first))
    assert not torch.equal(first.low, other.low)


def test_people_are_counted_by_their_photos_and_too_small_ones_are_no_targets(crops: FaceCrops) -> None:
    assert GuidedPairs(crops, SETTINGS).counts == (3, 2)
    assert GuidedPairs(crops, replace(SETTINGS, sources=("single",))).counts == (0, 2)
    with pytest.raises(DataError, match="512 px"):
        GuidedPairs(crops, replace(SETTINGS, size=512))


@pytest.mark.parametrize("cut", [Cut(), Cut(flip=True), Cut((0.1, -0.05), 0.2, 0.3), Cut((0.0, 0.1), -0.1, -0.4, True)])
def test_points_go_where_their_pixels_go(cut: Cut) -> None:
    landmarks = POINTS * 200
    pixels = np.zeros((200, 200, 3), np.uint8)
    for number, (x, y) in enumerate(landmarks):
        cv2.circle(pixels, (round(float(x)), round(float(y))), 4, (50 * (number + 1),) * 3, -1)
    crop = Crop(cv2.imencode(".png", pixels)[1].tobytes(), "a", "drawn", 200.0, landmarks)
    square, points = FaceCrops([crop]).square(0, 160, cut)
    found = [int(square[round(y * 160 - 0.5), round(x * 160 - 0.5), 0]) for x, y in points]
    left, right, nose, mouth_left, mouth_right = 50, 100, 150, 200, 250
    wanted = [right, left, nose, mouth_right, mouth_left] if cut.flip else [left, right, nose, mouth_left, mouth_right]
    assert found == pytest.approx(wanted, abs=3)


def test_an_uncut_square_is_the_middle_of_its_crop(crops: FaceCrops) -> None:
    _, points = crops.square(0, 128)
    margin = (1.2 - 1) / 2
    assert np.allclose(points, (POINTS * 308 + 0.5) / 308 * 1.2 - margin, atol=2e-3)


def test_strangers_are_never_the_person_and_nobody_is_sometimes_there(crops: FaceCrops) -> None:
    strangers = GuidedPairs(crops, replace(SETTINGS, stranger=1.0, nobody=0.0)).batch(0, 4, 0)
    assert not strangers.is_person.any() and strangers.present.any(1).all()
    nobody = GuidedPairs(crops, replace(SETTINGS, stranger=0.0, nobody=1.0)).batch(0, 4, 0)
    assert nobody.is_person.all() and not nobody.present.any() and float(nobody.references.max()) == 0


def test_shares_that_are_none_are_refused() -> None:
    for wrong in ({"nobody": 0.7, "stranger": 0.7}, {"references": (0.5, 0.1)}, {"size": 100}, {"old_photo": 2.0}):
        with pytest.raises(RecipeError, match=r"\[method\]"):
            GuidedBatchSettings(**wrong)  # type: ignore[arg-type]


def test_a_chain_scaled_to_a_larger_square_is_as_hard_for_it_and_may_shrink_nothing() -> None:
    plain = FirstOrderSettings(kernel=41, blur_sigma=(1.0, 10.0), scale=(1.0, 16.0))
    twice = scaled(plain, 256)
    assert twice.blur_sigma == (2.0, 20.0) and twice.scale == (1.0, 32.0) and twice.kernel == 81
    assert (twice.noise_sigma, twice.jpeg) == (plain.noise_sigma, plain.jpeg)
    assert scaled(plain, 128) == plain and scaled(plain, 64).of_px == 128


def test_tones_are_kept_apart_from_damage() -> None:
    drawn = [draw_damage(numpy_generator(0, number), 64, 1.0) for number in range(60)]
    kinds = {step.kind for item in drawn for step in item.tones}
    assert kinds == {"tint", "tones"}
    assert not kinds & {step.kind for item in drawn for step in item.damage}


def test_bending_by_nothing_and_retoning_keep_size_and_place() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(bend(pixels, np.random.default_rng(0), 0.0), pixels)
    toned = retone(pixels, np.random.default_rng(1))
    assert toned.shape == pixels.shape and toned.dtype == np.uint8
    assert np.corrcoef(toned.mean(2).ravel(), pixels.mean(2).ravel())[0, 1] > 0.9
