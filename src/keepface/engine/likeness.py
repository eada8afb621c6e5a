"""Can the references be of the person in the photo? How like they must be depends on who says so.

Where the user gives one person's references, a probability tells, which knows how clear the photo is: a face blurred to
a few pixels is like nobody, its own person included. Where a face is looked up among all people of a library nobody
vouches for it, and the floor is one that strangers do not reach.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.engine.calibration import same_person
from keepface.faces.align import align_arcface
from keepface.faces.face import Face

# Least mean cosine at which a face is somebody's of a library, by how many references: above what any of 175,000 pairs
# of a face and another person's references reached (65 people, docs/receipts.md). The photo's clarity hardly moves it.
LIBRARY_FLOORS = {"sface": (0.46, 0.43, 0.42), "facenet": (0.65, 0.64, 0.60)}
TOO_BLURRED = 0.11  # ours: clarity, below which a face is as like strangers as like its own person
NOISE_PASSED = 0.2  # share of white noise's sigma that the band of `clarity` lets through
LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)  # [Immerkaer 1996, Eq. 2]
INNER = (slice(16, 104), slice(16, 96))  # rows and columns of a 112 px crop that hold the face and little else


def clarity(image: Float[Tensor, "3 h w"], face: Face) -> float:
    """Measure how much fine detail a face holds: about 0.22 sharp, 0.17 at a quarter of 100 px, below 0.08 lost.

    It is the share of contrast between blurs of 1 and 2.5 px on the 112 px crop, noise taken off.
    """
    grey = align_arcface(image, face.points).mean(0).numpy()[INNER]
    band = cv2.GaussianBlur(grey, (0, 0), 1.0) - cv2.GaussianBlur(grey, (0, 0), 2.5)
    noise = float(np.median(np.abs(cv2.filter2D(grey, -1, LAPLACE)))) / 0.6745 / 6  # sigma of white noise
    power = float(band.var()) - (NOISE_PASSED * noise) ** 2
    return math.sqrt(max(power, 0.0)) / max(float(grey.std()), 0.02)


def probability(judge: str, likeness: float, image: Float[Tensor, "3 h w"], face: Face) -> float | None:
    """Return the probability that a photo's face is the references' person; `None` where it is too blurred to tell.

    `likeness` is the mean cosine to the references by the recogniser named `judge`.
    """
    detail = clarity(image, face)
    return None if detail < TOO_BLURRED else same_person(judge, likeness, detail)


def library_floor(recogniser: str, references: int) -> float:
    """Return the mean cosine to so many references (1 or more) at which a face is found to be their person's.

    `recogniser` is one of `LIBRARY_FLOORS`.
    """
    floors = LIBRARY_FLOORS[recogniser]
    return floors[min(references, len(floors)) - 1]
