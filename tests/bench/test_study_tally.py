"""Shares, intervals and who is left out, counted by hand."""

from collections.abc import Mapping

import pytest

from keepface.bench.study.plan import TIE, Choice, Study, Task
from keepface.bench.study.tally import guesser_passes, share_over_voters, tally, wilson
from keepface.bench.study.votes import Vote
from keepface.errors import DataError


def task(name: str, methods: str, question: str = "quality") -> Task:
    return Task(name, question, name, tuple(Choice(f"{name}-{m}", m) for m in methods), (), "", "")


def control(name: str, count: int = 2) -> Task:
    return Task(name, "quality", name, tuple(Choice(f"{name}-{n}", "") for n in range(count)), (), "", f"{name}-0")


def study(*tasks: Task, methods: str = "ABC", tie: bool = False) -> Study:
    questions = tuple(dict.fromkeys(item.question for item in tasks))
    return Study("id", "title", 0, tuple(methods), questions, tie, None, tasks)


def votes(voter: str, choices: Mapping[str, str]) -> list[Vote]:
    """`choices` says for each task which method, or which number of a control, was chosen."""
    return [Vote(voter, name, TIE if choice == TIE else f"{name}-{choice}") for name, choice in choices.items()]


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3.
@pytest.mark.parametrize(
    ("chosen", "answers", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_that_newcombe_printed(chosen: int, answers: int, low: float, high: float) -> None:
    found = wilson(float(chosen), answers)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_wilson_mirrors_and_its_ends_solve_the_score_equation() -> None:
    a, b = wilson(7.0, 30), wilson(23.0, 30)
    assert (a.low, a.high) == pytest.approx((1 - b.high, 1 - b.low))
    for end in (a.low, a.high):  # |share - p| = z sqrt(p (1 - p) / n)
        assert abs(7 / 30 - end) == pytest.approx(1.959964 * (end * (1 - end) / 30) ** 0.5, rel=1e-6)


def test_shares_are_the_votes_over_the_answers() -> None:
    three = study(task("t1", "ABC"), task("t2", "ABC"), task("t3", "ABC"))
    cast = votes("x", {"t1": "A", "t2": "A", "t3": "B"}) + votes("y", {"t1": "A", "t2": "B"})
    (found,) = tally(three, cast).questions
    assert found.answers == 5 and found.ties == 0
    assert {share.method: (share.votes, share.answers) for share in found.shares} == {
        "A": (3, 5),
        "B": (2, 5),
        "C": (0, 5),
    }
    assert [share.method for share in found.shares] == ["A", "B", "C"]  # best first
    assert found.shares[0].wilson == wilson(3.0, 5)
    assert sum(share.share for share in found.shares) == pytest.approx(1)


def test_in_pairs_a_share_is_of_the_tasks_that_showed_the_method() -> None:
    pairs = study(task("ab", "AB"), task("ac", "AC"), task("bc", "BC"))
    (found,) = tally(pairs, votes("x", {"ab": "A", "ac": "A", "bc": "C"})).questions
    assert {share.method: (share.votes, share.answers) for share in found.shares} == {
        "A": (2, 2),
        "B": (0, 2),
        "C": (1, 2),
    }
    duels = {(duel.first, duel.second): (duel.first_votes, duel.second_votes, duel.neither) for duel in found.duels}
    assert duels == {("A", "B"): (1, 0, 0), ("A", "C"): (1, 0, 0), ("B", "C"): (0, 1, 0)}


def test_a_duel_leaves_out_answers_for_a_third_method() -> None:
    three = study(*(task(f"t{n}", "ABC") for n in range(6)))
    cast = votes("x", {"t0": "A", "t1": "A", "t2": "A", "t3": "B", "t4": "C", "t5": "C"})
    (found,) = tally(three, cast).questions
    duel = found.duels[0]
    assert (duel.first, duel.second, duel.first_votes, duel.second_votes, duel.neither) == ("A", "B", 3, 1, 2)
    assert duel.share == 0.75 and duel.wilson == wilson(3.0, 4)
    assert duel.difference is None  # one voter


def test_a_tie_gives_an_equal_part_to_each_that_was_shown() -> None:
    two = study(task("t1", "AB"), task("t2", "AB"), methods="AB", tie=True)
    (found,) = tally(two, votes("x", {"t1": TIE, "t2": "A"})).questions
    assert found.ties == 1
    assert {share.method: share.votes for share in found.shares} == {"A": 1.5, "B": 0.5}
    (duel,) = found.duels
    assert (duel.first_votes, duel.second_votes, duel.neither, duel.share) == (1, 0, 1, 0.75)


def test_those_who_fail_the_controls_are_left_out_and_counted() -> None:
    checked = study(task("t", "AB"), *(control(f"c{n}") for n in range(5)), methods="AB")
    right = {f"c{n}": "0" for n in range(5)}
    cast = votes("good", {"t": "A", **right})
    cast += votes("one slip", {"t": "A", **right, "c3": "1"})  # 4 of 5: the least that passes
    cast += votes("careless", {"t": "B", **right, "c1": "1", "c2": "1"})
    cast += votes("stopped early", {"t": "B"})
    found = tally(checked, cast)
    assert (found.voters, found.counted, found.failed_controls, found.met_no_control) == (4, 2, 1, 1)
    assert found.finished == 2
    assert {share.method: (share.votes, share.answers) for share in found.questions[0].shares} == {
        "A": (2, 2),
        "B": (0, 2),
    }
    assert tally(checked, cast, pass_share=1.0).failed_controls == 2
    assert tally(checked, cast, pass_share=0.0).failed_controls == 0


def test_without_controls_nobody_is_left_out() -> None:
    found = tally(study(task("t", "AB"), methods="AB"), votes("x", {"t": "A"}))
    assert (found.counted, found.failed_controls, found.met_no_control, found.guesser_passes) == (1, 0, 0, None)


def test_controls_are_no_votes_for_a_method() -> None:
    checked = study(task("t", "AB"), control("c"), methods="AB")
    (found,) = tally(checked, votes("x", {"t": "A", "c": "0"})).questions
    assert found.answers == 1


def test_no_votes_leave_no_shares() -> None:
    found = tally(study(task("t", "AB"), control("c"), methods="AB"), [])
    assert (found.voters, found.counted) == (0, 0)
    assert found.questions[0].shares == () and found.questions[0].duels == ()


def test_questions_are_counted_apart() -> None:
    both = study(task("q", "AB"), task("i", "AB", "identity"), methods="AB")
    quality, identity = tally(both, votes("x", {"q": "A", "i": "B"})).questions
    assert (quality.question, quality.shares[0].method) == ("quality", "A")
    assert (identity.question, identity.shares[0].method) == ("identity", "B")


def test_the_interval_over_voters_is_wide_where_voters_differ_and_narrow_where_they_agree() -> None:
    # 20 voters with 50 answers each: all split evenly, or half of them all for and half all against.
    agree, differ = share_over_voters([25.0] * 20, [50] * 20, 0), share_over_voters([50.0, 0.0] * 10, [50] * 20, 0)
    assert agree is not None and (agree.low, agree.high) == (0.5, 0.5)
    assert differ is not None  # the binomial of 20 voters: standard deviation sqrt(0.25 / 20)
    assert differ.high - differ.low == pytest.approx(2 * 1.96 * (0.25 / 20) ** 0.5, rel=0.15)
    assert wilson(500.0, 1000).high - wilson(500.0, 1000).low < 0.1 < differ.high - differ.low


def test_one_voter_has_no_interval_over_voters() -> None:
    assert share_over_voters([3.0], [5], 0) is None


def test_a_duel_tells_a_difference_when_all_voters_agree() -> None:
    two = study(*(task(f"t{n}", "AB") for n in range(4)), methods="AB")
    cast = [vote for voter in "vwxyz" for vote in votes(voter, {"t0": "A", "t1": "A", "t2": "A", "t3": "B"})]
    (duel,) = tally(two, cast).questions[0].duels
    assert duel.difference is not None and duel.difference.excludes_zero
    assert (duel.difference.mean, duel.difference.low, duel.difference.high) == (0.5, 0.5, 0.5)


def test_a_guesser_passes_with_the_binomial_probability() -> None:
    five = study(task("t", "AB"), *(control(f"c{n}") for n in range(5)), methods="AB")
    assert guesser_passes(five, 0.8) == pytest.approx(6 / 32)  # 5 or 4 right of 5, at 1/2 each
    assert guesser_passes(five, 1.0) == pytest.approx(1 / 32)
    three = study(task("t", "ABC"), *(control(f"c{n}", 3) for n in range(2)))
    assert guesser_passes(three, 1.0) == pytest.approx(1 / 9)


@pytest.mark.parametrize("vote", [Vote("x", "other", "t-A"), Vote("x", "t", "other-A"), Vote("x", "t", "")])
def test_votes_of_another_study_are_refused(vote: Vote) -> None:
    with pytest.raises(DataError, match="of another study"):
        tally(study(task("t", "AB"), methods="AB"), [vote])


def test_the_share_to_pass_is_from_0_to_1() -> None:
    with pytest.raises(DataError, match="from 0 to 1"):
        tally(study(task("t", "AB"), methods="AB"), [], pass_share=80.0)
