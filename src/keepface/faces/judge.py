"""Say whether a photo of a face is fit to be a reference: its size, its sharpness, how far it is turned.

Crete et al. 2007, "The blur effect: perception and estimation with a new no-reference perceptual blur metric"  [Crete]
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import FFHQ_SIDE, align_ffhq, ffhq_template, scale_of, similarity
from keepface.faces.face import Face

SMALLEST_PX = 80.0  # ours: of the FFHQ square; below it recognisers see an enlarged face
MOST_BLUR = (
    0.72  # ours: LFW squares measure 0.42 (sharp half), 0.56 after a blur of sigma 1 at BLUR_SIDE, 0.71 after sigma 2
)
MOST_YAW_DEG = 50.0  # ours: beyond it the far eye is hidden
NOSE_DEPTH = 0.5  # how far the nose's tip stands before the eyes, in distances between the eyes
BLUR_SIDE = 128  # side of the upright square in which blur is measured
BLUR_TAPS = 9  # of the comparison's averaging filter  [Crete]


@dataclass(frozen=True)
class Fitness:
    """Hold what was measured, and what is wrong with it in words for the user (empty: fit to be a reference)."""

    size_px: float  # side of the FFHQ square in pixels of the photo
    blur: float  # 0 sharp to 1 blurred  [Crete]
    yaw_deg: float  # 0 frontal, positive when the nose points to the image's right
    roll_deg: float  # 0 upright, positive when the face leans clockwise
    problems: tuple[str, ...]


def judge(image: Float[Tensor, "3 h w"], face: Face) -> Fitness:
    """Measure a detected face and name what makes it a bad reference."""
    matrix = similarity(face.points, ffhq_template(FFHQ_SIDE))
    size_px = FFHQ_SIDE / scale_of(matrix)
    crop = align_ffhq(image, face.points, BLUR_SIDE).crop.permute(1, 2, 0).numpy()
    blur = blur_effect(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY))
    yaw_deg, roll_deg = pose(face.points)
    problems = []
    if size_px < SMALLEST_PX:
        problems.append(f"too small: the face's square is {size_px:.0f} px wide, {SMALLEST_PX:.0f} px are needed")
    elif blur > MOST_BLUR:
        problems.append(f"blurred: {blur:.2f} on a scale from 0 (sharp) to 1, at most {MOST_BLUR:.2f} is usable")
    if abs(yaw_deg) > MOST_YAW_DEG:
        problems.append(
            f"turned away: about {abs(yaw_deg):.0f} degrees to the side, at most {MOST_YAW_DEG:.0f} is usable"
        )
    return Fitness(size_px, blur, yaw_deg, roll_deg, tuple(problems))


def pose(points: Float[np.ndarray, "5 2"]) -> tuple[float, float]:
    """Estimate (yaw, roll) in degrees from the five points; rough, about 10 degrees.

    Seen from above, a nose that stands NOSE_DEPTH before the eyes moves by depth * tan(yaw) of their distance.
    """
    across = points[1] - points[0]
    distance = max(float(np.hypot(*across)), 1e-6)
    nose = points[2] - (points[0] + points[1]) / 2
    aside = float(nose @ across) / distance**2
    yaw = np.degrees(np.arctan2(aside, NOSE_DEPTH))
    return float(yaw), float(np.degrees(np.arctan2(across[1], across[0])))


def blur_effect(grey: Float[np.ndarray, "h w"]) -> float:
    """Measure blur: how little a further blur takes from the differences of neighbours. [Crete, Sec. 3]

    0 is sharp, 1 is blurred or plain; the worse of the two directions counts.
    """
    shares = []
    for axis in (0, 1):
        size = (1, BLUR_TAPS) if axis == 0 else (BLUR_TAPS, 1)  # cv2 gives width first
        again = cv2.blur(grey, size, borderType=cv2.BORDER_REFLECT_101)
        before, after = np.abs(np.diff(grey, axis=axis)), np.abs(np.diff(again, axis=axis))
        lost = np.maximum(before - after, 0).sum()
        shares.append(1 - float(lost) / max(float(before.sum()), 1e-9))
    return max(shares)
