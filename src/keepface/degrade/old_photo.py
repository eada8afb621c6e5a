"""What age and print do to a photo: grey, faded and dark tones, scratches and dust, halftone screens, dithering.

    Wan et al., CVPR 2020, "Bringing Old Photos Back to Life"  [OldPhotos]

The paper names scratches, dust and fading and gives no values; the ranges are ours. A draw is one of `ScreenKind`s or
none, tones, and scratches; what blurs and shrinks is another chain's, before or after this one.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.degrade.drawn import Step
from keepface.errors import RecipeError
from keepface.image.colour import to_grey


@dataclass(frozen=True)
class OldPhotoSettings:
    """Shares (0..1) and ranges of the damage of age and print."""

    grey: float = 0.4
    tinted: float = 0.4  # of those that are grey, share that are toned brown
    faded: float = 0.4
    gain: tuple[float, float] = (0.25, 0.9)  # contrast of a faded photo
    black: tuple[float, float] = (0.0, 0.45)  # what black becomes, 0..1
    scratched: float = 0.35
    scratches: tuple[int, int] = (1, 6)
    dust: tuple[int, int] = (0, 12)
    screen: float = 0.12  # share that is printed: half of them by a halftone screen, half dithered
    cell: tuple[float, float] = (2.5, 5.0)  # px, side of a halftone cell

    def __post_init__(self) -> None:
        for name in ("grey", "tinted", "faded", "scratched", "screen"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"degradation: {name} is {getattr(self, name)}; a share is from 0 to 1")


def tones(image: Float[Tensor, "3 h w"], gain: float, black: float) -> Float[Tensor, "3 h w"]:
    """Weaken contrast and lift black: gain * x + black, cut at white."""
    return (gain * image + black).clamp(0, 1)


def tint(image: Float[Tensor, "3 h w"], red: float, blue: float) -> Float[Tensor, "3 h w"]:
    """Print a picture's luma in one tone: red and blue are its gains over green."""
    luma = to_grey(image)
    return (luma * torch.tensor([red, 1.0, blue]).to(luma)[:, None, None]).clamp(0, 1)


def scratch(image: Float[Tensor, "3 h w"], lines: int, specks: int, seed: int) -> Float[Tensor, "3 h w"]:
    """Draw light or dark lines across the picture and specks on it, both soft at their edges."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[1:]
    side = min(height, width)
    cover = np.zeros((height, width), np.float32)
    for _ in range(lines):
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.normal(math.pi / 2, 0.6)
        length, bend = rng.uniform(0.2, 1.2) * side, rng.normal(0, 0.1)
        along = np.linspace(-0.5, 0.5, 12) * length
        points = np.stack([x + along * math.cos(angle + bend), y + along * math.sin(angle)], 1)
        points[:, 0] += np.cumsum(rng.normal(0, 0.006 * side, 12))
        thickness = max(1, round(rng.uniform(0.004, 0.012) * side))
        cv2.polylines(cover, [points.astype(np.int32)], False, float(rng.uniform(0.5, 1.0)), thickness, cv2.LINE_AA)
    for _ in range(specks):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = max(1, round(rng.uniform(0.003, 0.015) * side))
        cv2.circle(cover, centre, radius, float(rng.uniform(0.5, 1.0)), -1, cv2.LINE_AA)
    mask = torch.from_numpy(cv2.GaussianBlur(cover, (3, 3), 0)).to(image)[None]
    paint = 1.0 if rng.random() < 0.7 else 0.0
    return image * (1 - mask) + paint * mask


def halftone(image: Float[Tensor, "3 h w"], cell: float, angle: float) -> Float[Tensor, "3 h w"]:
    """Print luma through a turned screen: black dots on white, as large as the place is dark."""
    height, width = image.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    wave = 0.5 + 0.25 * ((2 * math.pi / cell * along).cos() + (2 * math.pi / cell * across).cos())
    softness = 8.0
    printed = torch.sigmoid(softness * (to_grey(image)[:1] - (1 - wave.to(image))) * 2)
    return printed.expand(3, -1, -1).contiguous()


def dither(image: Float[Tensor, "3 h w"], seed: int) -> Float[Tensor, "3 h w"]:
    """Make each pixel black or white by a random threshold, so that the mean of an area is its luma."""
    height, width = image.shape[1:]
    threshold = np.random.default_rng(seed).random((height, width), dtype=np.float32) * 0.8 + 0.1
    bits = (to_grey(image)[:1] > torch.from_numpy(threshold).to(image)).to(image)
    return bits.expand(3, -1, -1).contiguous()


def draw_old_photo(
    settings: OldPhotoSettings, rng: np.random.Generator, size: int
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Draw the tones of an old photo, which a restored one keeps, and its damage, which is to be taken away."""
    toned: list[Step] = []
    if rng.random() < settings.grey:
        is_tinted = rng.random() < settings.tinted
        red, blue = (rng.uniform(1.0, 1.25), rng.uniform(0.6, 1.0)) if is_tinted else (1.0, 1.0)
        toned.append(Step("tint", {"red": float(red), "blue": float(blue)}))
    if rng.random() < settings.faded:
        gain = float(rng.uniform(*settings.gain))
        black = float(rng.uniform(settings.black[0], min(settings.black[1], 1 - gain) if gain < 1 else 0.0))
        toned.append(Step("tones", {"gain": gain, "black": max(0.0, black)}))
    damage: list[Step] = []
    if rng.random() < settings.scratched:
        lines, specks = (int(rng.integers(low, high + 1)) for low, high in (settings.scratches, settings.dust))
        damage.append(Step("scratch", {"lines": lines, "specks": specks, "seed": int(rng.integers(2**32))}))
    if rng.random() < settings.screen:
        if rng.random() < 0.5:
            cell = float(rng.uniform(*settings.cell)) * size / 128
            damage.append(Step("halftone", {"cell": cell, "theta": float(rng.uniform(0, math.pi / 2))}))
        else:
            damage.append(Step("dither", {"seed": int(rng.integers(2**32))}))
    return tuple(toned), tuple(damage)
