"""Does a restored face agree with the picture it was made of, where it is known how that was degraded.

A degradation y = D(x) + n loses detail, which a restorer must invent, and keeps the rest, which it must not contradict:
degraded again, its result should be the low picture as nearly as the degraded truth is. [FaceMe, Eq. 1]

    Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]

`keepface.engine.consistency` tells as much of a photo whose degradation is not known.
"""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from keepface.degrade.chains import replay
from keepface.degrade.drawn import Step
from keepface.degrade.step import STEPS

ROUNDING = 1 / (12 * 255**2)  # mean square error of rounding to 8 bits; smaller errors are none


@dataclass(frozen=True, eq=False)
class Damage:
    """A low picture, and the drawn steps that made it of the truth."""

    low: Float[Tensor, "3 s s"]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, truth: Float[Tensor, "3 s s"], steps: tuple[Step, ...]) -> "Damage":
        """Degrade the truth."""
        return cls(replay(steps, truth), steps)

    @property
    def without_noise(self) -> tuple[Step, ...]:
        """Return the steps that leave nothing to chance: what is drawn from a seed is left out."""
        return tuple(step for step in self.steps if "seed" not in STEPS[step.kind].whole)


def consistency(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], damage: Damage) -> float:
    """Return how much worse a result explains the low picture than the truth does, in dB, at most 0. # ours

    PSNR(D(restored), low) - PSNR(D(truth), low), D being the drawn steps without noise. The truth has 0. What would be
    above 0 fits the noise of the low picture too, which is no merit, and counts as 0.
    """
    errors = [
        max(float((replay(damage.without_noise, image) - damage.low).double().square().mean()), ROUNDING)
        for image in (restored, truth)
    ]
    return min(0.0, 10 * math.log10(errors[1] / errors[0]))
