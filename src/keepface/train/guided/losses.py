"""What the guided network follows downhill.

    Li et al., ECCV 2018, "Learning Warped Guidance for Blind Face Restoration"  [GFRNet]

All pictures are compared in the common tones, where faded and dark squares count as much as others. The networks in
here (EfficientNet-Lite0, SFace) therefore judge no guided result.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from keepface.identity.differentiable import DifferentiableSFace
from keepface.identity.image_encoder import ImageEncoder
from keepface.methods.guided.core import CoreOutput, Match
from keepface.methods.guided.detail import DetailOutput
from keepface.methods.guided.network import CORE_PX, GuidedOutput, shrink
from keepface.metrics.perceptual import PerceptualDistance
from keepface.train.guided.pairs import GuidedBatch


@dataclass(frozen=True)
class GuidedLossSettings:
    """Weights of the losses."""

    pixels: float = 4.0
    perceptual: float = 1.0
    mix: float = 0.5  # perceptual, of the warped references alone: a mix that looks like the truth
    landmarks: float = 2.0  # of the flow, at the five points [GFRNet]
    smooth: float = 2.0  # second differences of the flow
    identity: float = 0.5
    core: float = 0.5  # of the core's own picture, where a detail stage is trained over it


class GuidedLosses:
    """The losses of a batch, by name; `total` is their weighted sum."""

    def __init__(self, settings: GuidedLossSettings, identity_faces: int = 3) -> None:
        self.settings, self._identity_faces = settings, identity_faces  # of a batch: the dearest loss
        self._distance = PerceptualDistance(ImageEncoder.load())
        self._recogniser = DifferentiableSFace() if settings.identity else None

    def __call__(self, output: GuidedOutput, batch: GuidedBatch, trains_core: bool) -> dict[str, Tensor]:
        """Compare a batch's output with its truth."""
        settings, truth = self.settings, output.tones.to_common(batch.clean)
        led = batch.present & batch.is_person[:, None]
        found: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        stages: list[tuple[CoreOutput | DetailOutput, Tensor, float]] = []
        if trains_core:
            stages.append((output.core, shrink(truth, CORE_PX), settings.core if output.detail else 1.0))
        if output.detail is not None:
            stages.append((output.detail, truth, 1.0))
        for stage, wanted, weight in stages:
            name = "" if weight == 1.0 else "core_"
            values = self._stage(stage.picture, stage.mix, stage.match, wanted, batch, led)
            found |= {name + key: value for key, value in values.items()}
            weighted += [weight * getattr(settings, key) * value for key, value in values.items()]
        if self._recogniser is not None:
            best = output.core if output.detail is None else output.detail
            chosen = torch.arange(len(truth))[batch.is_person][: self._identity_faces]
            if len(chosen):
                found["identity"] = self._identity(best.picture[chosen], truth[chosen])
                weighted.append(settings.identity * found["identity"])
        return {"total": torch.stack(weighted).sum(), **found}

    def _stage(
        self,
        picture: Float[Tensor, "b 3 s s"],
        mix: Float[Tensor, "b 3 s s"],
        match: Match,
        truth: Float[Tensor, "b 3 s s"],
        batch: GuidedBatch,
        led: Bool[Tensor, "b k"],
    ) -> dict[str, Tensor]:
        seen, wanted = as_seen(picture), as_seen(truth)
        found = {
            "pixels": (picture - truth).abs().mean() / 2,
            "perceptual": self._distance(seen, wanted).mean(),
        }
        if bool(led.any()):
            rows = led.any(1)
            found["mix"] = self._distance(as_seen(mix[rows]), wanted[rows]).mean()
            found["landmarks"] = landmark_loss(match.flow, batch.points, batch.reference_points, led)
            found["smooth"] = second_differences(match.flow)
        return found

    def _identity(self, picture: Float[Tensor, "b 3 s s"], truth: Float[Tensor, "b 3 s s"]) -> Tensor:
        assert self._recogniser is not None
        with torch.no_grad():
            wanted = self._recogniser(as_seen(truth))
        cosine: Tensor = (self._recogniser(as_seen(picture)) * wanted).sum(1)
        return 1 - cosine.mean()


def as_seen(common: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Return squares in the common tones as RGB, 0..1, cut where they go beyond."""
    return ((common + 1) / 2).clamp(0, 1)


def landmark_loss(
    flow: Float[Tensor, "b k 2 h w"],
    points: Float[Tensor, "b 5 2"],
    reference_points: Float[Tensor, "b k 5 2"],
    led: Bool[Tensor, "b k"],
) -> Float[Tensor, ""]:
    """Return how far, in half sides, the flow at the five points is from leading to the references' points. [GFRNet]"""
    count = flow.shape[1]
    at = (2 * points - 1).repeat_interleave(count, 0)
    found = functional.grid_sample(flow.flatten(0, 1), at[:, None], padding_mode="border", align_corners=False)
    wanted = 2 * reference_points.flatten(0, 1) - 1 - at
    error = (found[:, :, 0].transpose(1, 2) - wanted).abs().mean((1, 2))
    chosen = led.flatten().to(error)
    return (error * chosen).sum() / chosen.sum().clamp(min=1)


def second_differences(flow: Float[Tensor, "b k 2 h w"]) -> Float[Tensor, ""]:
    """Return the mean absolute second difference along rows and columns: 0 for any affine flow."""
    rows = flow[..., 2:] - 2 * flow[..., 1:-1] + flow[..., :-2]
    columns = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    return rows.abs().mean() + columns.abs().mean()
