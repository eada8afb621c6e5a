import numpy as np
import pytest

from keepface.errors import DataError
from keepface.metrics.statistics import Interval, mean_beside, paired_bootstrap


def test_equal_differences_have_an_interval_of_no_width() -> None:
    interval = paired_bootstrap([3.0, 5.0, 9.0], [1.0, 3.0, 7.0], seed=0, n=50)
    assert interval == Interval(2.0, 2.0, 2.0)
    assert interval.excludes_zero


def test_the_mean_is_the_mean_of_the_differences() -> None:
    assert paired_bootstrap([1.0, 2.0, 6.0], [0.0, 4.0, 1.0], seed=1, n=10).mean == pytest.approx(4 / 3)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    a, b = np.random.default_rng(2).normal(size=(2, 30)).tolist()
    assert paired_bootstrap(a, b, seed=3, n=100) == paired_bootstrap(a, b, seed=3, n=100)
    assert paired_bootstrap(a, b, seed=3, n=100) != paired_bootstrap(a, b, seed=4, n=100)


def test_swapping_the_rows_mirrors_the_interval() -> None:
    a, b = np.random.default_rng(5).normal(size=(2, 25)).tolist()
    there, back = paired_bootstrap(a, b, seed=6, n=200), paired_bootstrap(b, a, seed=6, n=200)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


def test_the_width_is_that_of_the_normal_interval() -> None:
    difference = np.random.default_rng(7).normal(size=400)
    interval = paired_bootstrap(difference.tolist(), [0.0] * 400, seed=8)
    expected = 2 * 1.96 * difference.std() / 20
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_pairing_takes_out_what_both_rows_share() -> None:
    rng = np.random.default_rng(9)
    shared = 100 * rng.normal(size=50)  # how hard each picture is
    a = (shared + 1 + 0.1 * rng.normal(size=50)).tolist()
    interval = paired_bootstrap(a, shared.tolist(), seed=10, n=200)
    assert 0.9 < interval.low < 1 < interval.high < 1.1


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    runs, hits = 300, 0
    for run in range(runs):
        sample = rng.normal(loc=0.3, size=60)
        interval = paired_bootstrap(sample.tolist(), [0.0] * 60, seed=run, n=300)
        hits += interval.low <= 0.3 <= interval.high
    assert 0.90 <= hits / runs <= 0.98  # 95 %, less a little for 60 pictures, with three standard errors


def test_an_interval_around_zero_excludes_nothing() -> None:
    assert not Interval(0.1, -0.2, 0.4).excludes_zero
    assert Interval(-0.3, -0.4, -0.2).excludes_zero


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([1.0, 2.0], [1.0], "2 values against 1; each picture needs one value of both"),
        ([1.0], [2.0], "1 pictures; an interval needs at least 2"),
        (
            [1.0, float("inf"), 2.0],
            [1.0, 2.0, 3.0],
            "picture 1 has the values inf and 2; values must be finite (1 of 3",
        ),
        ([1.0, 2.0], [float("nan"), 2.0], "picture 0 has the values 1 and nan"),
    ],
)
def test_what_can_not_be_compared_is_refused_with_its_place(a: list[float], b: list[float], text: str) -> None:
    with pytest.raises(DataError) as caught:
        paired_bootstrap(a, b, seed=0)
    assert text in str(caught.value)


def test_a_mean_is_written_with_its_difference_over_the_pairs_that_could_be_measured() -> None:
    nan = float("nan")
    assert mean_beside([1.0, 3.0]) == "2.000"
    assert mean_beside([1.0, 3.0, nan, 9.0], [0.5, 2.5, 1.0, nan]) == "2.000 (+0.500 [+0.500, +0.500])"
    assert mean_beside([1.0, nan], [nan, 1.0]) == "not measured"
