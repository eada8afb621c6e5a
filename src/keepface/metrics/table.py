"""Every metric by name: which way is better, its range, where it comes from, what it needs.

A metric takes an aligned restored square, the true one, and the instruments; it returns one `Measured`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.detect import Detector
from keepface.identity.embed import FaceFinder
from keepface.identity.image_encoder import ImageEncoder
from keepface.identity.recogniser import CONDITIONING, JUDGE, RECOGNISERS, Recogniser
from keepface.metrics.fidelity import psnr, ssim
from keepface.metrics.perceptual import PerceptualDistance
from keepface.metrics.sameness import Measured, identity_similarity, landmark_distance


@dataclass(frozen=True)
class Instruments:
    """The frozen networks that metrics look through."""

    detector: FaceFinder
    judge: Recogniser  # no model is led by it
    conditioning: Recogniser  # the model is led by it: never a verdict
    distance: PerceptualDistance

    @classmethod
    def load(cls) -> "Instruments":
        """Load them all from their carrier packages."""
        encoder = ImageEncoder.load()
        return cls(Detector(), RECOGNISERS[JUDGE](), RECOGNISERS[CONDITIONING](), PerceptualDistance(encoder))


Function = Callable[[Float[Tensor, "3 s s"], Float[Tensor, "3 s s"], Instruments], Measured]


@dataclass(frozen=True)
class Metric:
    """One metric: `function` measures (restored, truth, instruments)."""

    function: Function
    higher_is_better: bool
    range: tuple[float, float]
    unit: str
    source: str
    needs: tuple[str, ...]  # of the instruments


def _psnr(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], _: Instruments) -> Measured:
    return Measured(float(psnr(restored, truth)))


def _ssim(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], _: Instruments) -> Measured:
    return Measured(float(ssim(restored, truth)))


def _effnet(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], instruments: Instruments) -> Measured:
    with torch.no_grad():
        return Measured(float(instruments.distance(restored[None], truth[None])))


def _identity(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], instruments: Instruments) -> Measured:
    return identity_similarity(restored, truth, instruments.judge, instruments.detector)


def _conditioning(
    restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], instruments: Instruments
) -> Measured:
    return identity_similarity(restored, truth, instruments.conditioning, instruments.detector)


def _landmarks(restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], instruments: Instruments) -> Measured:
    return landmark_distance(restored, truth, instruments.detector)


METRICS = {
    "psnr": Metric(_psnr, True, (0.0, float("inf")), "dB", "peak 1, over RGB", ()),
    "ssim": Metric(_ssim, True, (-1.0, 1.0), "", "Wang et al. 2004, on the luma", ()),
    "effnet distance": Metric(_effnet, False, (0.0, 4.0), "", "ours, built as LPIPS; not LPIPS", ("distance",)),
    "identity similarity": Metric(_identity, True, (-1.0, 1.0), "", f"cosine by {JUDGE}", ("judge", "detector")),
    "conditioning similarity": Metric(
        _conditioning, True, (-1.0, 1.0), "", f"cosine by {CONDITIONING}; no verdict", ("conditioning", "detector")
    ),
    "landmark distance": Metric(_landmarks, False, (0.0, float("inf")), "px of 512", "five points", ("detector",)),
}
