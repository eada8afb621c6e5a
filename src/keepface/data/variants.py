"""Change a photo as another photo of the same person would differ: turned, re-cropped, re-lit, flipped, worse.

People of whom there is one photo serve as their own reference in this changed form, so that a network can't learn
to copy the reference.  # ours: all ranges
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.degrade.chains import PRESETS, draw, replay

MIRRORED = (1, 0, 2, 4, 3)  # where each of the five points is in a mirrored face
TURN_DEG = 8.0
SCALE = (0.92, 1.1)
SHIFT = 0.03  # share of the side
GAIN = (0.75, 1.25)
GAMMA = (0.7, 1.4)
TINT = 0.06  # share by which each colour's gain differs
GREY_SHARE = 0.1
DEGRADED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Variant:
    """A changed crop and where its five points went, (x, y) px."""

    image: Float[Tensor, "3 s s"]
    landmarks: Float[np.ndarray, "5 2"]


def change(image: Float[Tensor, "3 s s"], landmarks: Float[np.ndarray, "5 2"], rng: np.random.Generator) -> Variant:
    """Draw one changed form of a crop; what is turned in from outside is mirrored."""
    side = image.shape[-1]
    matrix = _turn(side, rng)
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    turned = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    points = landmarks @ matrix[:, :2].T + matrix[:, 2]
    changed = torch.from_numpy(turned).permute(2, 0, 1).clamp(0, 1)
    if rng.random() < 0.5:
        changed, points = changed.flip(2), flip_points(points, side)
    changed = _relight(changed, rng)
    is_degraded = rng.random() < DEGRADED_SHARE
    steps = draw(PRESETS["light"], rng, side)
    return Variant(replay(steps, changed) if is_degraded else changed.contiguous(), points.astype(np.float32))


def flip_points(points: Float[np.ndarray, "5 2"], side: int) -> Float[np.ndarray, "5 2"]:
    """Mirror five points in a square of `side` pixels; the eye at the image's left stays the first."""
    return np.stack([side - 1 - points[:, 0], points[:, 1]], axis=1)[list(MIRRORED)]


def _turn(side: int, rng: np.random.Generator) -> Float[np.ndarray, "2 3"]:
    """Draw a small similarity about the crop's centre."""
    angle, scale = math.radians(rng.uniform(-TURN_DEG, TURN_DEG)), rng.uniform(*SCALE)
    shift = rng.uniform(-SHIFT, SHIFT, 2) * side
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.full(2, (side - 1) / 2)
    return np.concatenate([turn, (centre + shift - turn @ centre)[:, None]], axis=1)


def _relight(image: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
    gain = rng.uniform(*GAIN) * (1 + rng.uniform(-TINT, TINT, 3))
    lit = (image ** rng.uniform(*GAMMA) * torch.from_numpy(gain).float()[:, None, None]).clamp(0, 1)
    if rng.random() < GREY_SHARE:
        luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        lit = (lit * luma).sum(0, keepdim=True).expand(3, -1, -1)
    return lit
