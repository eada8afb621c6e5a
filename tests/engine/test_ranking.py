import pytest

from keepface.engine.ranking import Candidate, order, scored


def candidate(seed: int, identity: float | None, decibel: float = 30.0, niqe: float | None = 5.0) -> Candidate:
    return Candidate(seed, identity, None, decibel, niqe)


def test_scores_are_the_promised_sum_and_their_mean_is_nothing() -> None:
    found = scored([candidate(0, 0.50, 30.0, 5.0), candidate(1, 0.60, 31.0, 6.0)])
    # half the differences: 2 * 0.05 / 0.05 of likeness, 0.5 / 0.5 dB of agreement, less 0.5 / 1 of NIQE
    assert found[1].score == pytest.approx(2.0 + 1.0 - 0.5)
    assert found[0].score == pytest.approx(-found[1].score)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (candidate(0, 0.6), candidate(1, 0.5)),
        (candidate(0, 0.5, 33.0), candidate(1, 0.5, 30.0)),
        (candidate(0, 0.5, 30.0, 4.0), candidate(1, 0.5, 30.0, 8.0)),
        (candidate(0, None, 33.0), candidate(1, None, 30.0)),
    ],
)
def test_the_better_one_comes_first_in_whatever_order_they_are_given(better: Candidate, worse: Candidate) -> None:
    assert order(scored([better, worse])) == [0, 1]
    assert order(scored([worse, better])) == [1, 0]


def test_what_not_every_candidate_has_does_not_count() -> None:
    found = scored([candidate(0, 0.5, niqe=None), candidate(1, 0.5, niqe=1.0)])
    assert [item.score for item in found] == [0.0, 0.0]
    assert order(found) == [0, 1]


def test_the_judge_never_ranks() -> None:
    liked, disliked = Candidate(0, 0.5, -1.0, 30.0, 5.0), Candidate(1, 0.5, 1.0, 30.0, 5.0)
    assert [item.score for item in scored([liked, disliked])] == [0.0, 0.0]
