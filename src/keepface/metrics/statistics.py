"""Is a difference between two rows of a table real: paired bootstrap over pictures.

Efron & Tibshirani 1993, "An Introduction to the Bootstrap"  [BOOT]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from keepface.errors import DataError
from keepface.seeds import numpy_generator


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95 % interval, in the metric's own unit."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the difference has one sign over the whole interval."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_bootstrap(a: Sequence[float], b: Sequence[float], seed: int, n: int = 2000) -> Interval:
    """Return the mean of `a - b` over pictures with its 95 % percentile interval. [BOOT, Sec. 13.3]

    `a[i]` and `b[i]` are one metric of the same picture under two settings; `n` resamples are drawn. Pictures of one
    person are not independent: average them first.

    Raises:
        DataError: lengths differ, fewer than two pairs, or a value is not finite.
    """
    difference = _differences(a, b)
    rng = numpy_generator(seed, "paired bootstrap")
    count = len(difference)
    means = [difference[rng.integers(0, count, count)].mean() for _ in range(n)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(difference.mean()), float(low), float(high))


def mean_beside(now: Sequence[float], then: Sequence[float] | None = None) -> str:
    """Write the mean of `now`, and its paired difference from `then` where one is given.

    Pictures in which either could not be measured (NaN) count for neither.
    """
    both = [pair for pair in zip(now, now if then is None else then, strict=True) if np.isfinite(pair).all()]
    if not both:
        return "not measured"
    ours, theirs = zip(*both, strict=True)
    mean = f"{np.mean(ours):.3f}"
    return mean if then is None or len(both) < 2 else f"{mean} ({paired_bootstrap(ours, theirs, 0)})"


def _differences(a: Sequence[float], b: Sequence[float]) -> Float[np.ndarray, "n"]:
    if len(a) != len(b):
        raise DataError(f"paired bootstrap: {len(a)} values against {len(b)}; each picture needs one value of both")
    if len(a) < 2:
        raise DataError(f"paired bootstrap: {len(a)} pictures; an interval needs at least 2")
    pairs = np.array([a, b], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(pairs).all(axis=0))
    if len(bad):
        first = int(bad[0])
        raise DataError(
            f"paired bootstrap: picture {first} has the values {pairs[0, first]:g} and {pairs[1, first]:g}; "
            f"values must be finite ({len(bad)} of {len(a)} pictures are not)"
        )
    return np.asarray(pairs[0] - pairs[1])
