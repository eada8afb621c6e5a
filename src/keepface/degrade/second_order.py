"""Draw the second-order degradation: blur, resize, noise and JPEG twice, with what else may befall a photo.

Wang et al. 2023, "Exploiting Diffusion Prior for Real-World Image Super-Resolution"  [StableSR]
Varanka et al., CVPR 2024, "PFStorer: Personalized Face Restoration and Super-Resolution"  [PFStorer]

PFStorer names the parts of its mix and, but for the share that stays clean, no values: the second-order part has
StableSR's, the others have ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keepface.degrade.camera import draw_camera
from keepface.degrade.drawn import Step
from keepface.errors import RecipeError

RESIZES = ("resize area", "resize", "resize bicubic")  # drawn alike
TURNED = (False, True, False, True, False, True)  # of the kinds of kernels: stretched along a turned axis or round
SHORT = 13  # sinc kernels shorter than this ring less and cut off at pi / 3 at the lowest, others at pi / 5


@dataclass(frozen=True)
class Order:
    """One of the two rounds of blur, resize, noise and JPEG; a share is a probability. [StableSR]"""

    blur: float = 1.0  # share that is blurred
    sinc: float = 0.1  # of these, share of sinc kernels
    sigma: tuple[float, float] = (0.2, 1.5)  # px
    generalised_beta: tuple[float, float] = (0.5, 2.0)  # half of the draws are below 1, half above
    plateau_beta: tuple[float, float] = (1.0, 1.5)  # likewise
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)  # shares of larger, smaller, kept
    scale: tuple[float, float] = (0.3, 1.5)  # of the side; smaller and larger are drawn below and above 1
    gaussian: float = 0.5  # share of Gaussian noise; the rest is Poisson noise
    noise_sigma: tuple[float, float] = (1.0, 15.0)  # 8-bit levels
    poisson: tuple[float, float] = (0.05, 2.0)  # scale of the noise
    jpeg: tuple[int, int] = (60, 95)  # quality; the upper end is reached only when both ends are equal


SECOND = Order(
    blur=0.5,
    sigma=(0.2, 1.0),
    resize=(0.3, 0.4, 0.3),
    scale=(0.6, 1.2),
    noise_sigma=(1.0, 12.0),
    poisson=(0.05, 1.0),
    jpeg=(60, 100),
)


@dataclass(frozen=True)
class SecondOrderSettings:
    """Shares and ranges of the whole chain, in pixels of the degraded picture or of `of_px`. [StableSR; PFStorer]"""

    first: Order = Order()
    second: Order = SECOND
    # shares of Gaussian, generalised and plateau kernels, each round and stretched
    kinds: tuple[float, float, float, float, float, float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    kernel: tuple[int, int] = (7, 21)  # px, odd
    grey_noise: float = 0.4  # share of noise that is the same in all colours
    final_sinc: float = 0.8
    shrink: float = 4.0  # the side is divided by this before it is enlarged to what it was
    clean: float = 0.01  # share that is left as it is
    motion: float = 0.0  # share with motion blur, before all else
    motion_length: tuple[float, float] = (5.0, 25.0)  # of the path, in 512ths of the smaller side  # ours
    camera: float = 0.0  # share with a camera's noise, between the rounds
    median: float = 0.0  # share with a median blur, anywhere after the first noise  # ours
    # As the ranges would look in a picture of a side drawn between these (evenly in its logarithm), seen at the size of
    # the one at hand; a picture at hand that is larger counts its own pixels, as any does with (1, 1)
    of_px: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for number, order in enumerate((self.first, self.second), 1):
            _check_order(order, f"degradation: order {number}")
        for name in ("grey_noise", "final_sinc", "clean", "motion", "camera", "median"):
            _check_share(getattr(self, name), f"degradation: {name}")
        _check_sum(self.kinds, "degradation: kinds")
        _check_range(self.motion_length, 0.1, "degradation: motion_length")
        _check_range(self.of_px, 1.0, "degradation: of_px")
        _check_range(self.kernel, 3, "degradation: kernel")
        if any(side % 2 == 0 for side in self.kernel) or self.shrink < 1:
            raise RecipeError(f"degradation: kernel {self.kernel} must be odd, shrink {self.shrink} 1 or more")


@dataclass(frozen=True)
class _View:
    """A picture within the chain, and how it compares with the same one in a picture of `of_px`."""

    scale: float  # of the side at hand
    pixel: float  # side of a pixel of `of_px`, in its pixels: 1 where both are the same, else less

    def kernel(self, size: int) -> int:
        return 2 * round(self.pixel * (size // 2)) + 1


Placed = list[tuple[Step, _View]]  # a step and the picture that it leaves


def draw_second_order(
    settings: SecondOrderSettings, rng: np.random.Generator, size: int | tuple[int, int]
) -> tuple[Step, ...]:
    """Draw the chain: motion, first order, camera, second order, median, then back to `size`. [StableSR; PFStorer]

    `size` is the side of the square, or (height, width), in pixels. Each part draws from a generator of its own, seeded
    by `rng`, so a part that is changed or left out leaves the others' values as they were. A draw without steps leaves
    the picture as it is.

    A picture smaller than `of_px` is treated as the larger one, seen at its size: it is shrunk only where the larger
    one would have fewer pixels than it has; where the larger one would have more, blur is narrower by the same factor
    and noise is what averaging leaves of it. What is then narrower than a pixel is left out. JPEG is as it is.
    """
    height, width = (size, size) if isinstance(size, int) else size
    is_clean = rng.random() < settings.clean
    smallest, largest = settings.of_px
    part = min(1.0, min(height, width) / (smallest * (largest / smallest) ** rng.random()))
    seeds = rng.integers(2**63, size=6)
    if is_clean:
        return ()
    motion, first, camera, second, end, median = (np.random.default_rng(int(seed)) for seed in seeds)
    start = _View(1.0, part)
    once = _seen(_scale(settings.first, first), part)
    twice = _seen(_scale(settings.second, second) / settings.shrink, part)
    last = _seen(1 / settings.shrink, part)
    placed = _at(start, _motion(settings, motion, min(height, width)), _blur(settings, settings.first, first, start))
    placed += _at(once, [_resize(first, once, height, width), _noise(settings, settings.first, first, once)])
    noisy = len(placed)
    placed += _at(once, [_jpeg(settings.first, first)], _camera(settings, camera, once))
    placed += _at(once, _blur(settings, settings.second, second, once))
    placed += _at(twice, [_resize(second, twice, height, width), _noise(settings, settings.second, second, twice)])
    placed += _at(last, _end(settings, end, last, _resize(end, last, height, width)))
    _insert_median(settings, median, placed, noisy)
    back = Step("resize bicubic", {"height": height, "width": width})
    return (*(step for step, _ in placed), Step("round", {}), back)


def _at(view: _View, *steps: list[Step]) -> Placed:
    return [(step, view) for part in steps for step in part]


def _seen(scale: float, part: float) -> _View:
    """Show a picture of `scale` times `of_px` with no more pixels than one of `scale` times the side at hand, or 1."""
    shown = scale if scale >= 1 else min(1.0, scale / part)
    return _View(shown, part * shown / scale)


def _scale(order: Order, rng: np.random.Generator) -> float:
    low, high = order.scale
    larger, smaller, _ = order.resize
    which, up, down = rng.random(), rng.uniform(1, high), rng.uniform(low, 1)
    return up if which < larger else down if which < larger + smaller else 1.0


def _resize(rng: np.random.Generator, view: _View, height: int, width: int) -> Step:
    size = {"height": max(1, int(height * view.scale)), "width": max(1, int(width * view.scale))}
    return Step(RESIZES[int(rng.integers(len(RESIZES)))], {**size})


def _motion(settings: SecondOrderSettings, rng: np.random.Generator, side: int) -> list[Step]:
    is_moved, theta = rng.random() < settings.motion, rng.uniform(0, math.tau)
    length = rng.uniform(*settings.motion_length) * side / 512
    return [Step("motion blur", {"length": length, "theta": theta})] if is_moved else []


def _blur(settings: SecondOrderSettings, order: Order, rng: np.random.Generator, view: _View) -> list[Step]:
    is_blurred, is_sinc = rng.random() < order.blur, rng.random() < order.sinc
    which = int(np.searchsorted(np.cumsum(settings.kinds)[:-1], rng.random(), side="right"))
    size = _draw_size(settings, rng)
    lowest = math.pi / 3 if size < SHORT else math.pi / 5
    cutoff = rng.uniform(lowest, math.pi)
    sigma_x, sigma_y = (view.pixel * rng.uniform(*order.sigma) for _ in range(2))
    theta = rng.uniform(-math.pi, math.pi)
    generalised, plateau = (_draw_beta(beta, rng) for beta in (order.generalised_beta, order.plateau_beta))
    if not is_blurred:
        return []
    if is_sinc:
        return _sinc(size, cutoff, view)
    shape: dict[str, float | int | str] = {"kernel": view.kernel(size), "sigma_x": sigma_x}
    shape |= {"sigma_y": sigma_y, "theta": theta} if TURNED[which] else {"sigma_y": sigma_x, "theta": 0.0}
    if which < 2:
        return [Step("blur", shape)]
    if which < 4:
        return [Step("generalised blur", {**shape, "beta": generalised})]
    return [Step("plateau blur", {**shape, "beta": plateau})]


def _draw_size(settings: SecondOrderSettings, rng: np.random.Generator) -> int:
    low, high = settings.kernel
    return 2 * int(rng.integers(low // 2, high // 2 + 1)) + 1


def _draw_beta(beta: tuple[float, float], rng: np.random.Generator) -> float:
    is_low, low, high = rng.random() < 0.5, rng.uniform(beta[0], 1), rng.uniform(1, beta[1])
    return low if is_low else high


def _sinc(size: int, cutoff: float, view: _View) -> list[Step]:
    """Leave the filter out where all that it takes away is finer than the picture's pixels."""
    is_seen = cutoff < math.pi * view.pixel
    return [Step("sinc", {"kernel": view.kernel(size), "cutoff": cutoff / view.pixel})] if is_seen else []


def _noise(settings: SecondOrderSettings, order: Order, rng: np.random.Generator, view: _View) -> Step:
    is_gaussian, grey = rng.random() < order.gaussian, "grey " if rng.random() < settings.grey_noise else ""
    sigma, scale = (view.pixel * rng.uniform(*values) for values in (order.noise_sigma, order.poisson))
    seed = int(rng.integers(2**32))
    if is_gaussian:
        return Step(f"{grey}noise", {"sigma": sigma, "seed": seed})
    return Step(f"{grey}poisson noise", {"scale": scale, "seed": seed})


def _jpeg(order: Order, rng: np.random.Generator) -> Step:
    return Step("jpeg", {"quality": int(rng.uniform(*order.jpeg))})


def _camera(settings: SecondOrderSettings, rng: np.random.Generator, view: _View) -> list[Step]:
    is_taken, seed, camera = rng.random() < settings.camera, int(rng.integers(2**32)), draw_camera(rng)
    if not is_taken:
        return []
    values: dict[str, float | int | str] = {f"mix_{number}": share for number, share in enumerate(camera.mix, 1)}
    values |= {"brightness": camera.brightness, "red": camera.red, "blue": camera.blue, "seed": seed}
    return [Step("camera", {**values, "shot": camera.shot * view.pixel**2, "read": camera.read * view.pixel**2})]


def _end(settings: SecondOrderSettings, rng: np.random.Generator, view: _View, resize: Step) -> list[Step]:
    """Shrink and ring, then JPEG, or the other way round, as often. [StableSR]"""
    is_ringing, jpeg_is_last = rng.random() < settings.final_sinc, rng.random() < 0.5
    ring = _sinc(_draw_size(settings, rng), rng.uniform(math.pi / 3, math.pi), view) if is_ringing else []
    jpeg = _jpeg(settings.second, rng)
    return [resize, *ring, jpeg] if jpeg_is_last else [jpeg, resize, *ring]


def _insert_median(settings: SecondOrderSettings, rng: np.random.Generator, placed: Placed, first: int) -> None:
    is_smoothed, size = rng.random() < settings.median, 3 + 2 * int(rng.integers(2))
    place = int(rng.integers(first, len(placed) + 1))
    view = placed[place - 1][1]
    kernel = view.kernel(size)
    if is_smoothed and kernel > 1:
        placed.insert(place, (Step("median", {"kernel": kernel}), view))


def _check_order(order: Order, where: str) -> None:
    for name in ("blur", "sinc", "gaussian"):
        _check_share(getattr(order, name), f"{where}: {name}")
    _check_sum(order.resize, f"{where}: resize")
    for name, floor in (("sigma", 1e-3), ("noise_sigma", 0.0), ("poisson", 0.0), ("jpeg", 1), ("scale", 1e-3)):
        _check_range(getattr(order, name), floor, f"{where}: {name}")
    if not order.scale[0] <= 1 <= order.scale[1] or order.jpeg[1] > 100:
        raise RecipeError(f"{where}: scale {order.scale} must enclose 1, jpeg {order.jpeg} must end at 100 or below")
    for name in ("generalised_beta", "plateau_beta"):
        low, high = getattr(order, name)
        if not 0.1 <= low <= 1 <= high <= 10:
            raise RecipeError(f"{where}: {name} is ({low}, {high}); it must enclose 1 and be from 0.1 to 10")


def _check_share(share: float, where: str) -> None:
    if not 0 <= share <= 1:
        raise RecipeError(f"{where} is {share}; it is a share and must be from 0 to 1")


def _check_sum(shares: Sequence[float], where: str) -> None:
    if min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise RecipeError(f"{where} is {tuple(shares)}; these are shares and must add up to 1")


def _check_range(ends: tuple[float | int, float | int], floor: float | int, where: str) -> None:
    low, high = ends
    if not floor <= low <= high:
        raise RecipeError(f"{where} is ({low}, {high}); it must rise and start at {floor} or above")
