"""Is it still the same person, and are the features still in place.

Both measure aligned squares. A picture in which no face is found is never dropped: it is measured at the place where
its face must be, and flagged, so that a table can count such failures.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.faces.face import Face
from keepface.identity.compare import cosine
from keepface.identity.embed import FaceFinder, square_face
from keepface.identity.recogniser import Recogniser
from keepface.identity.second_judge import SAME_PERSON_BELOW, Describer

UNIT_PX = 512  # landmark distances are told for a square of this side, whatever the size measured


@runtime_checkable
class PointFinder(FaceFinder, Protocol):
    """A detector that also tells the points of a face whose place is known."""

    def look_again(self, image: Float[Tensor, "3 h w"], face: Face) -> Face:
        """Return `face` with the points that are seen in its place."""
        ...


@dataclass(frozen=True)
class Measured:
    """One value of one picture; flagged when a face had to be supposed because none was found."""

    value: float
    is_flagged: bool = False


def identity_similarity(
    restored: Float[Tensor, "3 s s"],
    truth: Float[Tensor, "3 s s"],
    recogniser: Recogniser,
    detector: FaceFinder,
) -> Measured:
    """Return the cosine, -1..1, between the embeddings of a restored and a true aligned square.

    Each is embedded at its own detected face; a restored square without one is embedded at the true face, a true
    square without one at the alignment template.
    """
    true = square_face(truth, detector)
    found = square_face(restored, detector, otherwise=true.face)
    a, b = recogniser.embed(restored, found.face), recogniser.embed(truth, true.face)
    return Measured(float(cosine(a, b)), not (found.is_detected and true.is_detected))


def descriptor_distance(
    restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], describer: Describer, detector: FaceFinder
) -> Measured:
    """Return the Euclidean distance, 0 or more, between the descriptors of a restored and a true aligned square.

    Faces are found and supposed as `identity_similarity` does.
    """
    true = square_face(truth, detector)
    found = square_face(restored, detector, otherwise=true.face)
    apart = describer.describe(restored, found.face) - describer.describe(truth, true.face)
    return Measured(float(apart.norm()), not (found.is_detected and true.is_detected))


def same_person(
    restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], describer: Describer, detector: FaceFinder
) -> Measured:
    """Return 1 where `descriptor_distance` is below the published limit for one person, else 0."""
    apart = descriptor_distance(restored, truth, describer, detector)
    return Measured(float(apart.value < SAME_PERSON_BELOW), apart.is_flagged)


def landmark_distance(
    restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], detector: FaceFinder
) -> Measured:
    """Return the mean distance between the five points of two aligned squares, in pixels of a 512 px square.

    A square without a face is given the points of the alignment template: those of the truth would make a picture
    with no face in it the best of all. The template is nearer than many a face that is hardly seen, though: pictures in
    which none is found are to be compared by `landmark_error`.
    """
    apart, is_flagged = _points_apart(restored, truth, detector)
    return Measured(float(np.linalg.norm(apart, axis=1).mean()), is_flagged)


def landmark_square_error(
    restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], detector: FaceFinder
) -> Measured:
    """Return the mean square error of the five points' coordinates, in square pixels of a 512 px square.

    The mean is over points and both coordinates; a square without a face is treated as `landmark_distance` does.
    """
    apart, is_flagged = _points_apart(restored, truth, detector)
    return Measured(float((apart**2).mean()), is_flagged)


def landmark_error(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], detector: PointFinder) -> Measured:
    """Return the mean distance between the five points of two aligned squares, in pixels of a 512 px square.

    In both the points are looked for where the truth has its face, so that nothing must be supposed of a restored or
    degraded square in which no face is found. # ours
    """
    true = square_face(truth, detector)
    ours, theirs = (detector.look_again(image, true.face).points for image in (restored, truth))
    apart = np.linalg.norm((ours - theirs) * (UNIT_PX / truth.shape[-1]), axis=1)
    return Measured(float(apart.mean()), not true.is_detected)


def _points_apart(
    restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], detector: FaceFinder
) -> tuple[Float[np.ndarray, "5 2"], bool]:
    found, true = square_face(restored, detector), square_face(truth, detector)
    scale = UNIT_PX / truth.shape[-1]
    return (found.face.points - true.face.points) * scale, not (found.is_detected and true.is_detected)
