import math

import pytest

from keepface.engine.calibration import CURVES, MOST_CLARITY, Curve, same_person


def test_a_curve_is_the_logistic_function_of_its_terms() -> None:
    curve = Curve(0.5, 2.0, -3.0, 4.0)
    assert curve.probability(0.3, 0.1) == pytest.approx(1 / (1 + math.exp(-(0.5 + 0.6 - 0.3 + 0.12))))
    assert curve.probability(0.3, 5.0) == curve.probability(0.3, MOST_CLARITY)


@pytest.mark.parametrize("name", list(CURVES))
def test_more_likeness_is_never_less_probable_and_stays_a_probability(name: str) -> None:
    for clear in (0.0, 0.05, 0.1, 0.2, 1.0):
        chances = [CURVES[name].probability(number / 20, clear) for number in range(-20, 21)]
        assert chances == sorted(chances) and chances[0] >= 0 and chances[-1] <= 1


def test_the_same_cosine_says_less_against_a_person_when_the_photo_is_lost() -> None:
    blurred, clear = (same_person("facenet", 0.1, clarity) for clarity in (0.05, 0.2))
    assert blurred is not None and clear is not None and blurred > clear


def test_the_published_points_of_the_curves_hold() -> None:
    assert same_person("facenet", 0.33, 0.2) == pytest.approx(0.5, abs=0.03)
    assert same_person("facenet", 0.10, 0.08) == pytest.approx(0.5, abs=0.03)


def test_of_a_recogniser_that_was_not_measured_nothing_is_said() -> None:
    assert same_person("arcface", 0.9, 0.2) is None
