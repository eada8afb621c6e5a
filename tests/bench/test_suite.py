"""The plan of a suite: who is restored, led by which photos."""

import pytest

from keepface.bench.suite import COMPARISONS, ROWS, SUITES, BenchSettings, Row, find_suite, leaders, plan
from keepface.degrade.chains import PRESETS
from keepface.errors import DataError, RecipeError

PEOPLE = ["ann"] * 6 + ["bob"] * 2 + ["cid"] * 1 + ["dan"] * 4
NATIVE = [100.0, 300.0, 300.0, 90.0, 80.0, 70.0, 50.0, 60.0, 999.0, 1.0, 2.0, 3.0, 4.0]


def test_only_people_with_two_photos_are_measured_in_the_order_of_their_names() -> None:
    assert [target.person for target in plan(PEOPLE, NATIVE)] == ["ann", "bob", "dan"]


def test_the_target_is_the_photo_with_most_detail_and_is_never_its_own_reference() -> None:
    targets = plan(PEOPLE, NATIVE)
    assert [target.photo for target in targets] == [1, 7, 12]
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


def test_a_row_that_needs_more_photos_than_there_are_says_so() -> None:
    bob = plan(PEOPLE, NATIVE)[1]
    assert leaders(Row("one", "", references=1), bob) == (6,)
    with pytest.raises(DataError, match="the person has fewer than 4 other photos"):
        leaders(Row("four", "", references=4), bob)
    lonely = plan(["a", "a", "b", "b"], [1.0] * 4)[0]
    with pytest.raises(DataError, match="nobody else has 4 photos"):
        leaders(Row("wrong", "", references=4, whose="stranger"), lonely)


def test_rows_without_references_are_led_by_nobody() -> None:
    for row in ROWS[:3]:
        assert leaders(row, plan(PEOPLE, NATIVE)[0]) == ()


def test_every_suite_compares_rows_that_it_has_under_presets_that_exist() -> None:
    for suite in SUITES.values():
        names = {row.name for row in suite.rows}
        assert len(names) == len(suite.rows)
        assert {name for pair in COMPARISONS for name in pair} <= names
        assert set(suite.presets) <= PRESETS.keys()


def test_an_unknown_suite_or_metric_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="unknown suite 'huge'; known suites: compact"):
        find_suite("huge")
    with pytest.raises(RecipeError, match="unknown metric 'lpips'; known metrics: psnr"):
        BenchSettings(metrics=("lpips",))
    with pytest.raises(RecipeError, match="limit is 0; it must be 1 or more"):
        BenchSettings(limit=0)
