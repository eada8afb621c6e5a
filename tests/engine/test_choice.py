import pytest

from keepface.config import from_dict, to_dict
from keepface.engine.choice import Choice, Knobs
from keepface.engine.reason_words import sentence
from keepface.engine.reasons import Reason
from keepface.engine.settings import RestoreSettings
from keepface.errors import FaceError, RecipeError
from keepface.faces.align import template_face
from keepface.faces.face import Face


def face(width: float = 40.0, score: float = 0.99) -> Face:
    return Face((0.0, 0.0, width, width), template_face(64).points, score)


@pytest.mark.parametrize(
    ("choice", "restored"),
    [
        (Choice(), [1, 2, 3]),
        (Choice(only=("anna",)), [1]),
        (Choice(only=("Anna", "3")), [1, 3]),
        (Choice(skip=("ben",)), [1, 3]),
        (Choice(only=("1", "2"), skip=("BEN",)), [1]),
    ],
)
def test_faces_are_named_by_person_in_any_capitals_or_by_number(choice: Choice, restored: list[int]) -> None:
    people = [(1, "anna"), (2, "ben"), (3, None)]
    assert [number for number, name in people if choice.refusal(number, face(), name) is None] == restored


def test_small_and_doubtful_faces_are_left_with_what_was_measured_and_asked() -> None:
    small = Choice(min_face=32.0).refusal(1, face(20.0), None)
    unsure = Choice(min_score=0.95).refusal(1, face(score=0.9), None)
    assert small == Reason("narrow", {"width": 20.0, "needed": 32.0})
    assert unsure == Reason("unsure", {"score": 0.9, "needed": 0.95})
    assert sentence([small], "unchanged") == "skipped: 20 px wide, and at least 32 px are asked for"
    assert Choice(min_face=32.0, min_score=0.95).refusal(1, face(32.0, 0.95), None) is None


def test_knobs_of_a_number_come_before_those_of_its_person() -> None:
    choice = Choice(knobs=(Knobs("anna", fidelity=0.2), Knobs("2", identity=0.5)))
    found = [choice.knobs_for(number, name) for number, name in ((1, "anna"), (2, "anna"), (3, "ben"))]
    assert [item and item.who for item in found] == ["anna", "2", None]


def test_a_person_nobody_looks_for_is_refused_with_those_who_are() -> None:
    with pytest.raises(RecipeError, match=r"'dora' is looked for; those who are: anna, ben"):
        Choice(only=("dora",)).check(["ben", "anna"])
    with pytest.raises(RecipeError, match="give --people"):
        Choice(skip=("anna",)).check([])
    Choice(only=("ANNA", "7")).check(["anna"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Knobs("anna", fidelity=1.5),
        lambda: Choice(min_face=-1.0),
        lambda: Choice(min_score=2.0),
        lambda: Choice(only=("0",)),
    ],
)
def test_values_without_a_sense_are_refused(make: object) -> None:
    with pytest.raises(RecipeError):
        make()  # type: ignore[operator]


def test_settings_with_a_choice_survive_their_way_to_plain_data() -> None:
    settings = RestoreSettings(choice=Choice(("anna",), ("2",), 20.0, 0.9, (Knobs("anna", 0.5, None),)))
    assert from_dict(RestoreSettings, to_dict(settings), "recipe") == settings


def test_the_number_of_a_face_that_there_is_not_is_refused() -> None:
    for choice in (Choice(only=("1", "9")), Choice(skip=("9",)), Choice(knobs=(Knobs("9", identity=0.5),))):
        choice.check_numbers(9, "a.jpg")
        choice.check_numbers(0, "a.jpg")  # that no face was found is told by itself
        with pytest.raises(FaceError, match="^a.jpg: there is no face 9; 3 faces were found, of which 1 is the larg"):
            choice.check_numbers(3, "a.jpg")
        with pytest.raises(FaceError, match="there is no face 9; 1 face was found"):
            choice.check_numbers(1, "a.jpg")
    Choice(only=("anna",)).check_numbers(1, "a.jpg")
