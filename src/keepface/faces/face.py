"""Say where a face is in a picture: its box, its five points, and how sure the detector was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from keepface.errors import FaceError


@dataclass(frozen=True, eq=False)
class Face:
    """Hold one detected face, in pixels of the picture it was found in.

    `points` are (x, y), in the order of the upright face: the eye on the image's left, the other eye, the tip of the
    nose, the mouth corner on the image's left, the other corner. Whole numbers are pixel centres.
    """

    box: tuple[float, float, float, float]  # left, top, right, bottom; may reach beyond the picture
    points: Float[np.ndarray, "5 2"]
    score: float  # 0 to 1, the detector's own

    @property
    def width(self) -> float:
        """Return the width of the box in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Return the height of the box in pixels."""
        return self.box[3] - self.box[1]

    @property
    def area(self) -> float:
        """Return the area of the box in square pixels; the largest face is the one with the most."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """Return the (x, y) middle of the box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def scaled(self, factor: float) -> "Face":
        """Return the same face in a picture enlarged by `factor`; pixel centres stay centres."""
        left, top, right, bottom = (edge * factor for edge in self.box)
        return Face((left, top, right, bottom), (self.points + 0.5) * factor - 0.5, self.score)


def largest(faces: Sequence[Face]) -> Face:
    """Return the face with the largest box.

    Raises:
        FaceError: there is no face.
    """
    if not faces:
        raise FaceError("no face was found; a face must be upright or turned by quarters, and at least 20 px wide")
    return max(faces, key=lambda face: face.area)
