"""The table of what a step of a degradation can be, and the values that each needs.

A picture is on any device. JPEG, the median and the counting of light go over the CPU; the CPU's own picture is blurred
and sampled by OpenCV, another device's by torch, which agree to within rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from keepface.degrade.blur import filter2d, gaussian_kernel
from keepface.degrade.camera import Camera, camera_noise
from keepface.degrade.drawn import Values
from keepface.degrade.jpeg import jpeg
from keepface.degrade.kernels import generalised_kernel, motion_kernel, plateau_kernel, sinc_kernel
from keepface.degrade.median import median_blur
from keepface.degrade.noise import gaussian_noise, poisson_noise
from keepface.degrade.old_photo import dither, halftone, scratch, tint, tones
from keepface.degrade.resample import bilinear, sample


@dataclass(frozen=True)
class Kind:
    """What a step does and which whole and real numbers it needs, each with its least and greatest value."""

    apply: Callable[[Tensor, Values], Tensor]
    whole: dict[str, tuple[int, int]]
    real: dict[str, tuple[float, float]]


def _stretch(values: Values) -> tuple[int, float, float, float]:
    sigma_x, sigma_y, theta = (float(values[name]) for name in ("sigma_x", "sigma_y", "theta"))
    return int(values["kernel"]), sigma_x, sigma_y, theta


def _size(values: Values) -> tuple[int, int]:
    return int(values["height"]), int(values["width"])


def _gaussian(image: Tensor, values: Values, grey: bool) -> Tensor:
    return gaussian_noise(image, float(values["sigma"]), int(values["seed"]), grey)


def _poisson(image: Tensor, values: Values, grey: bool) -> Tensor:
    return poisson_noise(image, float(values["scale"]), int(values["seed"]), grey)


def _camera(image: Tensor, values: Values) -> Tensor:
    first, second, third, fourth, brightness, red, blue, shot, read = (float(values[name]) for name in CAMERA)
    camera = Camera((first, second, third, fourth), brightness, red, blue, shot, read)
    return camera_noise(image, camera, int(values["seed"]))


TURN = (-math.tau, math.tau)  # radians
STRETCH = {"sigma_x": (1e-3, 1e3), "sigma_y": (1e-3, 1e3), "theta": TURN}
KERNEL = {"kernel": (1, 255)}
SIZE = {"height": (1, 65_535), "width": (1, 65_535)}
SEED = {"seed": (0, 2**63 - 1)}
CAMERA = {
    **{f"mix_{number}": (0.0, 1.0) for number in range(1, 5)},
    **{name: (0.1, 10.0) for name in ("brightness", "red", "blue")},
    **{name: (0.0, 1.0) for name in ("shot", "read")},
}

STEPS = {
    "blur": Kind(lambda image, values: filter2d(image, gaussian_kernel(*_stretch(values))), KERNEL, STRETCH),
    "generalised blur": Kind(
        lambda image, values: filter2d(image, generalised_kernel(*_stretch(values), float(values["beta"]))),
        KERNEL,
        {**STRETCH, "beta": (0.1, 10.0)},
    ),
    "plateau blur": Kind(
        lambda image, values: filter2d(image, plateau_kernel(*_stretch(values), float(values["beta"]))),
        KERNEL,
        {**STRETCH, "beta": (0.1, 10.0)},
    ),
    "sinc": Kind(
        lambda image, values: filter2d(image, sinc_kernel(int(values["kernel"]), float(values["cutoff"]))),
        KERNEL,
        {"cutoff": (1e-3, math.pi)},
    ),
    "motion blur": Kind(
        lambda image, values: filter2d(image, motion_kernel(float(values["length"]), float(values["theta"]))),
        {},
        {"length": (1e-3, 250.0), "theta": TURN},
    ),
    "median": Kind(lambda image, values: median_blur(image, int(values["kernel"])), {"kernel": (3, 5)}, {}),
    "resize": Kind(lambda image, values: bilinear(image, *_size(values)), SIZE, {}),
    "resize area": Kind(lambda image, values: sample(image, *_size(values), "area"), SIZE, {}),
    "resize bicubic": Kind(lambda image, values: sample(image, *_size(values), "bicubic"), SIZE, {}),
    "noise": Kind(partial(_gaussian, grey=False), SEED, {"sigma": (0.0, 255.0)}),
    "grey noise": Kind(partial(_gaussian, grey=True), SEED, {"sigma": (0.0, 255.0)}),
    "poisson noise": Kind(partial(_poisson, grey=False), SEED, {"scale": (0.0, 100.0)}),
    "grey poisson noise": Kind(partial(_poisson, grey=True), SEED, {"scale": (0.0, 100.0)}),
    "camera": Kind(_camera, SEED, CAMERA),
    "jpeg": Kind(lambda image, values: jpeg(image, int(values["quality"])), {"quality": (1, 100)}, {}),
    "tint": Kind(
        lambda image, values: tint(image, float(values["red"]), float(values["blue"])),
        {},
        {"red": (0.1, 10.0), "blue": (0.1, 10.0)},
    ),
    "tones": Kind(
        lambda image, values: tones(image, float(values["gain"]), float(values["black"])),
        {},
        {"gain": (0.0, 4.0), "black": (-1.0, 1.0)},
    ),
    "scratch": Kind(
        lambda image, values: scratch(image, int(values["lines"]), int(values["specks"]), int(values["seed"])),
        {"lines": (0, 100), "specks": (0, 1000), **SEED},
        {},
    ),
    "halftone": Kind(
        lambda image, values: halftone(image, float(values["cell"]), float(values["theta"])),
        {},
        {"cell": (1.0, 100.0), "theta": TURN},
    ),
    "dither": Kind(lambda image, values: dither(image, int(values["seed"])), SEED, {}),
    "round": Kind(lambda image, _: (image.clamp(0, 1) * 255).round() / 255, {}, {}),  # to 8 bits
}
