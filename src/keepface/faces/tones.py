"""Bring the tones of faded and dark faces to where networks know them, and back: a straight line there and its inverse.

Networks learn on faces that use the range of tones. In a flat face they see contrast that is not there, or draw it in.
All channels go the same way, so that grey stays grey and sepia sepia.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.detail import FACE
from keepface.faces.harmonise import BT601

DARKEST, BRIGHTEST = 0.02, 0.98  # ours: shares of the face's pixels, between whose brightness its tones lie
SPREAD = 0.4  # ours: from darkest to brightest; a face with less is stretched to it
MIDDLE = 0.45  # ours: of the tones of a face that is stretched to twice its spread or more
MOST_GAIN = 8.0  # ours: beyond it 8 bits hold too few steps


@dataclass(frozen=True)
class Tones:
    """A straight line from a face's own tones to those that networks know: y = gain (x - own) + known."""

    gain: float = 1.0
    own: float = 0.0
    known: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Tell whether tones stay as they are."""
        return self.gain == 1.0 and self.own == self.known

    def there(self, square: Float[Tensor, "*b 3 s s"]) -> Float[Tensor, "*b 3 s s"]:
        """Stretch; what would be darker than black or lighter than white is cut off."""
        return square if self.is_identity else (self.gain * (square - self.own) + self.known).clamp(0, 1)

    def back(self, square: Float[Tensor, "*b 3 s s"]) -> Float[Tensor, "*b 3 s s"]:
        """Squeeze; the inverse, on all that was not cut off."""
        return square if self.is_identity else ((square - self.known) / self.gain + self.own).clamp(0, 1)


def tones_of(square: Float[Tensor, "3 s s"]) -> Tones:
    """Measure an upright square's face; a well-exposed one has the identity.

    The line changes steadily with the face's spread of tones, so that a hair more or less of it decides nothing.
    """
    side = square.shape[-1]
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    inside = torch.from_numpy(((x - FACE[0]) / FACE[2]) ** 2 + ((y - FACE[1]) / FACE[3]) ** 2 <= 1)
    luma = sum(weight * channel[inside] for weight, channel in zip(BT601, square.float(), strict=True))
    dark, bright = np.quantile(np.asarray(luma), (DARKEST, BRIGHTEST))
    gain = float(np.clip(SPREAD / max(bright - dark, 1e-6), 1, MOST_GAIN))
    middle = float(dark + bright) / 2
    return Tones(gain, middle, middle + (MIDDLE - middle) * min(1.0, gain - 1)) if gain > 1 else Tones()
