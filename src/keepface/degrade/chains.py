"""From clean to low: draw the steps of a degradation once, replay them exactly as often as wanted.

Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
Fang et al. 2025, "Robust ID-Specific Face Restoration via Alignment Learning"  [RIDFR]

A draw is a tuple of steps, each a kind and its values; it says everything, the noise's seed included. So the same
draw makes the same picture, and a draw can be kept beside the picture as JSON.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.degrade.drawn import Step
from keepface.degrade.second_order import SECOND, Order, SecondOrderSettings, draw_second_order
from keepface.degrade.step import KERNEL, STEPS
from keepface.errors import DataError, RecipeError


@dataclass(frozen=True)
class FirstOrderSettings:
    """Ranges of blur, shrink, noise and JPEG, in pixels of the degraded picture or of `of_px`. [FaceMe, Eq. 6]"""

    kernel: int = 41  # side of the blur kernel, odd
    blur_sigma: tuple[float, float] = (0.2, 10.0)  # px
    isotropic: float = 0.5  # share of round kernels
    scale: tuple[float, float] = (1.0, 16.0)  # the side is divided by this
    noise_sigma: tuple[float, float] = (0.0, 15.0)  # 8-bit levels
    jpeg: tuple[int, int] = (30, 100)  # quality; the upper end is reached only when both ends are equal
    of_px: int = 0  # > 0: as the ranges would look in a picture of this side, seen at the size of the one at hand
    resize_back: bool = True  # False leaves the picture small [RIDFR, Eq. 7]

    def __post_init__(self) -> None:
        for name, floor in (("blur_sigma", 1e-3), ("scale", 1.0), ("noise_sigma", 0.0), ("jpeg", 1)):
            low, high = getattr(self, name)
            if not floor <= low <= high:
                raise RecipeError(f"degradation: {name} is ({low}, {high}); it must rise and start at {floor} or above")
        if self.kernel % 2 == 0 or self.kernel < 1 or self.jpeg[1] > 100 or not 0 <= self.isotropic <= 1:
            raise RecipeError(
                f"degradation: kernel {self.kernel} must be odd, jpeg {self.jpeg} must end at 100 or below, "
                f"isotropic {self.isotropic} must be from 0 to 1"
            )


Settings = FirstOrderSettings | SecondOrderSettings
MAX_KERNEL = KERNEL["kernel"][1]  # px

# Eq. 6 whole, and its ranges cut in thirds.  # ours: the paper has one level
# These count pixels of the square at hand, so that a small family's task is as hard as a large one's; "published" is
# what Eq. 6 leaves of the paper's 512 px squares, seen at the size at hand: much milder for a small family.
# The two chains of training show a small square as one of 128 to 512 px, as a photo's faces differ in size. The two of
# evaluation count its own pixels: "pf-heavy" StableSR's values, "pf-light" milder ones; docs/degradation.md.  # ours
LIGHT_FIRST = Order(sigma=(0.2, 0.8), scale=(0.6, 1.5), noise_sigma=(1.0, 7.0), poisson=(0.05, 1.0), jpeg=(75, 95))
LIGHT_SECOND = replace(SECOND, sigma=(0.2, 0.5), noise_sigma=(1.0, 6.0), poisson=(0.05, 0.5), jpeg=(75, 100))
PRESETS: dict[str, Settings] = {
    "light": FirstOrderSettings(blur_sigma=(0.2, 3.5), scale=(1.0, 6.0), noise_sigma=(0.0, 5.0), jpeg=(77, 100)),
    "medium": FirstOrderSettings(blur_sigma=(3.5, 6.7), scale=(6.0, 11.0), noise_sigma=(5.0, 10.0), jpeg=(53, 77)),
    "heavy": FirstOrderSettings(blur_sigma=(6.7, 10.0), scale=(11.0, 16.0), noise_sigma=(10.0, 15.0), jpeg=(30, 53)),
    "full": FirstOrderSettings(),
    "published": FirstOrderSettings(of_px=512),
    "second-order": SecondOrderSettings(of_px=(128.0, 512.0)),
    "pfstorer": SecondOrderSettings(of_px=(128.0, 512.0), clean=0.03, motion=0.2, camera=0.25, median=0.1),
    "pf-light": SecondOrderSettings(
        LIGHT_FIRST, LIGHT_SECOND, shrink=2.0, clean=0.0, motion=0.2, camera=0.25, median=0.1
    ),
    "pf-heavy": SecondOrderSettings(clean=0.0, motion=0.2, camera=0.25, median=0.1),
}


def as_at(settings: Settings, px: int, size: int) -> Settings:
    """Return settings that are as hard on the face in a square of `size` px as these are in one of `px`.

    Blur and shrinking grow with the square, so that as many pixels of the face are left; noise and JPEG are of the
    shrunken picture and stay. Settings that are told for a side of their own (`of_px`) stay as they are.

    Raises:
        RecipeError: settings of the second order that count pixels of the square at hand.
    """
    if size == px:
        return settings
    if isinstance(settings, SecondOrderSettings):
        if settings.of_px == (1.0, 1.0):
            raise RecipeError("degradation: this one counts pixels of the square at hand; it can't be told for another")
        return settings
    if settings.of_px:
        return settings
    if size < px:
        return replace(settings, of_px=px)
    factor = size / px
    return replace(
        settings,
        kernel=min(2 * round(factor * (settings.kernel // 2)) + 1, MAX_KERNEL),
        blur_sigma=(factor * settings.blur_sigma[0], factor * settings.blur_sigma[1]),
        scale=(factor * settings.scale[0], factor * settings.scale[1]),
    )


def draw(settings: Settings, rng: np.random.Generator, size: int | tuple[int, int]) -> tuple[Step, ...]:
    """Draw the steps of a degradation, whichever it is; `size` is the square's side or (height, width), in pixels."""
    if isinstance(settings, FirstOrderSettings):
        return draw_first_order(settings, rng, size)
    return draw_second_order(settings, rng, size)


def draw_first_order(
    settings: FirstOrderSettings, rng: np.random.Generator, size: int | tuple[int, int]
) -> tuple[Step, ...]:
    """Draw blur, shrink, noise, JPEG and, if set, the way back to `size`. [FaceMe, Eq. 6; RIDFR, Eq. 7]

    `size` is the side of the square, or (height, width), in pixels. Every draw takes the same count of random
    numbers, so one setting changed leaves the others' values as they were.

    With `of_px`, in a smaller picture the blur is narrower by the same factor and the shrunk picture has the same count
    of pixels; where that is more than the picture has, it is not shrunk and the noise is what averaging leaves of it.
    """
    height, width = (size, size) if isinstance(size, int) else size
    part = min(1.0, min(height, width) / settings.of_px) if settings.of_px else 1.0
    is_round = rng.random() < settings.isotropic
    sigma_x, sigma_y = (part * rng.uniform(*settings.blur_sigma) for _ in range(2))
    theta = rng.uniform(-math.pi, math.pi)
    scale = part * rng.uniform(*settings.scale)
    sigma, seed = rng.uniform(*settings.noise_sigma) * min(1.0, scale), int(rng.integers(2**32))
    scale = max(1.0, scale)
    quality = int(rng.uniform(*settings.jpeg))
    shape = {"sigma_x": sigma_x, "sigma_y": sigma_x if is_round else sigma_y, "theta": 0.0 if is_round else theta}
    steps = [
        Step("blur", {"kernel": 2 * round(part * (settings.kernel // 2)) + 1, **shape}),
        Step("resize", {"height": max(1, int(height // scale)), "width": max(1, int(width // scale))}),
        Step("noise", {"sigma": sigma, "seed": seed}),
        Step("jpeg", {"quality": quality}),
    ]
    if settings.resize_back:
        steps.append(Step("resize", {"height": height, "width": width}))
    return tuple(steps)


def replay(steps: Sequence[Step], image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h2 w2"]:
    """Apply a draw: the same draw makes the same picture, bit for bit; the result is within 0..1.

    The picture may be on any device, and the result is there too; see `keepface.degrade.step` for what goes over the
    CPU. Another device's picture differs from the CPU's by rounding, and where JPEG rounds otherwise, by a level.
    """
    for step in steps:
        image = STEPS[step.kind].apply(image, step.values)
    return image.clamp(0, 1)


def replay_batch(draws: Sequence[Sequence[Step]], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
    """Apply one draw to each picture, as `replay` would one by one, and stack what comes out.

    Raises:
        DataError: there is not one draw for each picture, or their results differ in size.
    """
    if len(draws) != len(images):
        raise DataError(f"replay: {len(draws)} draws for {len(images)} pictures; each picture needs one")
    low = [replay(steps, image) for steps, image in zip(draws, images, strict=True)]
    sizes = {tuple(image.shape[1:]) for image in low}
    if len(sizes) > 1:
        raise DataError(f"replay: results of sizes {sorted(sizes)} can't be stacked; replay their draws one by one")
    return torch.stack(low)


def to_json(steps: Sequence[Step]) -> str:
    """Write a draw as one line of JSON that `from_json` reads back exactly."""
    return json.dumps([{"kind": step.kind, **step.values} for step in steps])


def from_json(text: str, where: str = "draw") -> tuple[Step, ...]:
    """Read a draw from JSON; `where` names the source in errors.

    Raises:
        DataError: not JSON, not a list of steps, an unknown kind, a value missing, unknown or out of range.
    """
    try:
        items = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DataError(f'{where}: a draw is a list of steps such as [{{"kind": "jpeg", "quality": 50}}]')
    return tuple(_step(item, f"{where}: step {number}") for number, item in enumerate(items, 1))


def _step(item: dict[str, Any], where: str) -> Step:
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in STEPS:
        raise DataError(f"{where}: unknown kind {kind!r}; known kinds: {', '.join(STEPS)}")
    ranges = {**STEPS[kind].whole, **STEPS[kind].real}
    values = {name: value for name, value in item.items() if name != "kind"}
    if values.keys() != ranges.keys():
        raise DataError(f"{where}: {kind} has {', '.join(values) or 'no values'}; it needs {', '.join(ranges)}")
    for name, value in values.items():
        low, high = ranges[name]
        is_number = isinstance(value, int if name in STEPS[kind].whole else int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise DataError(f"{where}: {kind} {name} is {value!r}; it must be a number from {low} to {high}")
    if values.get("kernel", 1) % 2 == 0:
        raise DataError(f"{where}: {kind} kernel is {values['kernel']}; it must be odd")
    return Step(kind, values)
