import pytest

from keepface.engine.receipt import left_alone, lost_likeness, objection
from keepface.engine.result import FaceResult, Similarity


@pytest.mark.parametrize(("before", "after"), [(0.2, 0.2), (0.2, 0.6), (0.2, 0.16), (None, 0.1), (0.5, None)])
def test_a_face_as_like_as_before_or_of_unknown_likeness_needs_no_word(
    before: float | None, after: float | None
) -> None:
    assert lost_likeness(Similarity(before, after, 0.5)) is None


def test_a_face_that_became_a_stranger_is_named_with_both_values() -> None:
    told = lost_likeness(Similarity(0.42, 0.18, 0.3))
    assert told is not None and "less like the references" in told and "0.42 to 0.18" in told


def test_a_face_left_alone_is_as_like_the_references_as_it_was() -> None:
    worse = FaceResult((0.0, 0.0, 1.0, 1.0), True, None, Similarity(0.42, 0.18, 0.3), 0, "faceme")
    kept = left_alone(worse)
    assert not kept.restored and kept.similarity == Similarity(0.42, 0.42, 1.0)
    assert kept.reason is not None and kept.reason.startswith("left as it was")


def led(chance: float | None, is_matched: bool = True, after: float = 0.5) -> FaceResult:
    likeness = Similarity(0.3, after, 0.5)
    return FaceResult((0.0, 0.0, 1.0, 1.0), True, None, likeness, 0, "faceme", None, chance, is_matched, 0.7)


def test_a_led_face_that_is_hardly_the_person_may_not_stay_and_gets_the_photos_probability_back() -> None:
    told = objection(led(0.01))
    assert told is not None and "probability 0.01" in told
    kept = left_alone(led(0.01))
    assert not kept.restored and kept.same_person_probability == 0.7
    assert kept.reason is not None and "hardly be the references' person" in kept.reason


def test_a_face_nobody_leads_may_be_anybodys() -> None:
    assert objection(led(0.01, is_matched=False)) is None
    assert objection(led(0.4)) is None and objection(led(None)) is None
    assert "less like" in str(objection(led(0.4, after=0.1)))
