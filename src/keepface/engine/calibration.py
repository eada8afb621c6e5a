"""From cosines to probabilities: how likely it is that two faces are the same person's.

Platt 1999, "Probabilistic outputs for support vector machines"  [Platt]

Each is a logistic curve fitted to pairs of which half show one person and half show two; a user who knows better is
right. What it was fitted to, and how well it holds, is in docs/receipts.md.
"""

import math
from dataclasses import dataclass

MOST_CLARITY = 0.2  # a sharper photo tells no more


@dataclass(frozen=True)
class Curve:
    """A logistic curve over a cosine whose place and slope move with how clear the degraded face is. [Platt]"""

    start: float
    by_cosine: float
    by_clarity: float
    by_both: float

    def probability(self, cosine: float, clarity: float) -> float:
        """Return the probability, 0..1, of the same person."""
        clear = min(clarity, MOST_CLARITY)
        score = self.start + self.by_cosine * cosine + self.by_clarity * clear + self.by_both * cosine * clear
        return 1 / (1 + math.exp(-max(-700.0, min(score, 700.0))))


# By recogniser: a degraded face against the mean of one to four clean references.
CURVES = {
    "sface": Curve(2.29, 7.07, -58.77, 118.58),
    "facenet": Curve(2.19, 6.68, -40.83, 56.26),
}


def same_person(recogniser: str, cosine: float, clarity: float) -> float | None:
    """Return the probability that a degraded face is the references' person; `None` for a recogniser not measured."""
    curve = CURVES.get(recogniser)
    return None if curve is None else curve.probability(cosine, clarity)
