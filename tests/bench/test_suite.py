"""The plan of a suite: who is restored, led by which photos."""

import numpy as np
import pytest

from keepface.bench.plan import leaders, plan, pose_and_mouth
from keepface.bench.suite import ALIKE, SUITES, UNALIKE, Row, find_suite
from keepface.degrade.chains import PRESETS
from keepface.errors import DataError, RecipeError
from keepface.faces.align import ffhq_template

PEOPLE = ["ann"] * 6 + ["bob"] * 2 + ["cid"] * 1 + ["dan"] * 4
NATIVE = [100.0, 300.0, 300.0, 90.0, 80.0, 70.0, 50.0, 60.0, 999.0, 1.0, 2.0, 3.0, 4.0]


def nowhere(index: int) -> np.ndarray:
    raise AssertionError("points are asked only where pose and mouth choose")


def test_only_people_with_two_photos_are_measured_in_the_order_of_their_names() -> None:
    assert [target.person for target in plan(PEOPLE, NATIVE)] == ["ann", "bob", "dan"]


def test_the_target_is_the_photo_with_most_detail_and_is_never_its_own_reference() -> None:
    targets = plan(PEOPLE, NATIVE)
    assert [target.photo for target in targets] == [1, 7, 12]
    assert [target.others for target in targets] == [(0, 2, 3, 4, 5), (6,), (9, 10, 11)]
    assert [target.references for target in targets] == [(0, 2, 3, 4), (6,), (9, 10, 11)]


def test_the_stranger_is_somebody_else_with_four_photos() -> None:
    strangers = {target.person: target.stranger for target in plan(PEOPLE, NATIVE)}
    assert strangers == {"ann": "dan", "bob": "dan", "dan": "ann"}
    for target in plan(PEOPLE, NATIVE):
        assert {PEOPLE[index] for index in target.stranger_references} == {target.stranger}


def test_a_limit_leaves_the_plan_of_those_who_stay_as_it_was() -> None:
    assert plan(PEOPLE, NATIVE, limit=2) == plan(PEOPLE, NATIVE)[:2]


def test_the_plan_does_not_depend_on_the_order_of_people_in_the_data() -> None:
    order = [12, 11, 10, 9, 8, 6, 7, 0, 1, 2, 3, 4, 5]
    shuffled = plan([PEOPLE[index] for index in order], [NATIVE[index] for index in order])
    assert [target.person for target in shuffled] == ["ann", "bob", "dan"]
    assert [order[target.photo] for target in shuffled] == [1, 7, 12]


def test_when_nobody_has_two_photos_there_is_nothing_to_measure() -> None:
    with pytest.raises(DataError, match="nobody among 2 photos has two"):
        plan(["a", "b"], [1.0, 1.0])


def test_a_suite_that_needs_more_photos_takes_only_those_who_have_them() -> None:
    assert [target.person for target in plan(PEOPLE, NATIVE, others=3)] == ["ann", "dan"]
    with pytest.raises(DataError, match="nobody among 13 photos has 7, as this suite needs"):
        plan(PEOPLE, NATIVE, others=6)


def test_a_row_that_needs_more_photos_than_there_are_says_so() -> None:
    bob = plan(PEOPLE, NATIVE)[1]
    assert leaders(Row("one", "", references=1), bob, nowhere) == (6,)
    with pytest.raises(DataError, match="the person has fewer than 4 other photos"):
        leaders(Row("four", "", references=4), bob, nowhere)
    lonely = plan(["a", "a", "b", "b"], [1.0] * 4)[0]
    with pytest.raises(DataError, match="nobody else has 4 photos"):
        leaders(Row("wrong", "", references=4, whose="stranger"), lonely, nowhere)


def test_a_row_of_up_to_four_takes_what_there_is_and_asks_for_one_at_least() -> None:
    row = next(row for row in SUITES["methods"].rows if row.name == "up to 4 references")
    assert [leaders(row, one, nowhere) for one in plan(PEOPLE, NATIVE)] == [(0, 2, 3, 4), (6,), (9, 10, 11)]
    alone = plan(["eve", "eve"], [1.0, 2.0])[0]
    with pytest.raises(DataError, match="fewer than 2 other photos"):
        leaders(Row("up to 4", "", references=4, fewest=1, first=1), alone, nowhere)


def test_rows_without_references_are_led_by_nobody() -> None:
    for suite in SUITES.values():
        for row in suite.rows:
            if row.references == 0:
                assert leaders(row, plan(PEOPLE, NATIVE)[0], nowhere) == ()


def test_the_rows_of_a_reference_alone_take_each_a_different_photo() -> None:
    ann = plan(PEOPLE, NATIVE)[0]
    suite = SUITES["alignment"]
    alone = [leaders(row, ann, nowhere) for row in suite.rows if row.name in suite.varied]
    assert alone == [(0,), (2,), (3,), (4,)]


def test_the_suite_of_methods_sets_one_photo_of_the_person_beside_one_of_somebody_else() -> None:
    ann, rows = plan(PEOPLE, NATIVE)[0], {row.name: row for row in SUITES["methods"].rows}
    assert leaders(rows["1 reference"], ann, nowhere) == (0,)
    assert leaders(rows["a stranger"], ann, nowhere) == (9,) and PEOPLE[9] == "dan"


def test_pose_and_mouth_do_not_change_when_the_face_is_turned_shifted_and_enlarged() -> None:
    points = ffhq_template(512)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    assert pose_and_mouth(3 * points @ turn.T + 7) == pytest.approx(pose_and_mouth(points))


def test_pose_and_mouth_tell_a_turned_head_from_a_wider_mouth() -> None:
    points = ffhq_template(512)
    eyes = float(np.hypot(*(points[1] - points[0])))
    turned, smiling = points.copy(), points.copy()
    turned[2, 0] += 0.2 * eyes
    smiling[3, 0] -= 0.1 * eyes
    smiling[4, 0] += 0.1 * eyes
    assert pose_and_mouth(turned) - pose_and_mouth(points) == pytest.approx([0.2, 0, 0, 0], abs=1e-3)
    assert pose_and_mouth(smiling) - pose_and_mouth(points) == pytest.approx([0, 0, 0, 0.2], abs=1e-3)


def test_the_photo_most_and_least_alike_are_found_among_all_others_of_the_person() -> None:
    ann = plan(PEOPLE, NATIVE)[0]

    def widths(index: int) -> np.ndarray:
        points = ffhq_template(512).copy()
        points[4, 0] += {0: 30, 1: 0, 2: 12, 3: 50, 4: 5, 5: 80}[index]
        return points

    assert leaders(ALIKE, ann, widths) == (4,)
    assert leaders(UNALIKE, ann, widths) == (5,)
    with pytest.raises(DataError, match="fewer than 2 other photos to choose from"):
        leaders(ALIKE, plan(PEOPLE, NATIVE)[1], widths)


def test_every_suite_compares_rows_that_it_has_under_presets_that_exist() -> None:
    for name, suite in SUITES.items():
        names = {row.name for row in suite.rows}
        assert suite.name == name
        assert len(names) == len(suite.rows)
        assert {name for pair in suite.comparisons for name in pair} <= names
        assert set(suite.contrasts) | set(suite.varied) <= names
        assert set(suite.presets) <= PRESETS.keys()


def test_an_unknown_suite_names_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match="unknown suite 'huge'; known suites: compact, methods, guided, references, alignment"
    ):
        find_suite("huge")


def test_a_suite_of_some_rows_keeps_the_input_and_compares_what_is_left() -> None:
    some = SUITES["methods"].only(("1 reference", "no references"))
    assert [row.name for row in some.rows] == ["input", "no references", "1 reference"]
    assert some.comparisons == (
        ("no references", "input"),
        ("1 reference", "input"),
        ("1 reference", "no references"),
    )
    assert some.contrasts == ("no references", "1 reference")
    assert SUITES["alignment"].only(("reference 1 alone",)).varied == ("reference 1 alone",)
    assert SUITES["methods"].only(()) == SUITES["methods"]


def test_a_row_that_a_suite_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(RecipeError, match="suite methods has no row '2 references'; its rows: input, no references"):
        SUITES["methods"].only(("2 references",))
