"""Can the references be of the person in the photo? How like they must be depends on who says so.

Where the user gives one person's references, the floor is as strict as the photo's clarity allows, and no stricter: a
face blurred to a few pixels is like nobody, its own person included. Where a face is looked up among all people of a
library nobody vouches for it, and the floor is one that strangers do not reach.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import align_arcface
from keepface.faces.face import Face

# Clarity, and the mean cosine (SFace) to three references that about 3 in 100 true pairs fall below. Ours: measured on
# 40 people of LFW at 13 kinds of degradation; of false pairs, 9 in 10 fall below at the upper end, half at the lower.
FLOORS = ((0.08, 0.0), (0.12, 0.07), (0.16, 0.14), (0.20, 0.20))
# Least mean cosine at which a face is somebody's of a library, by how many references: above what any of 175,000 pairs
# of a face and another person's references reached (65 people, docs/receipts.md). The photo's clarity hardly moves it.
LIBRARY_FLOORS = {"sface": (0.46, 0.43, 0.42), "facenet": (0.65, 0.64, 0.60)}
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


def same_person_floor(image: Float[Tensor, "3 h w"], face: Face) -> float:
    """Return the mean cosine to the references below which this face is somebody else's; -1 when it can't be told."""
    detail = clarity(image, face)
    details, floors = zip(*FLOORS, strict=True)
    return -1.0 if detail < details[0] else float(np.interp(detail, details, floors))


def library_floor(recogniser: str, references: int) -> float:
    """Return the mean cosine to so many references (1 or more) at which a face is found to be their person's.

    `recogniser` is one of `LIBRARY_FLOORS`.
    """
    floors = LIBRARY_FLOORS[recogniser]
    return floors[min(references, len(floors)) - 1]
