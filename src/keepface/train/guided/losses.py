"""What the guided network follows downhill.

    Li et al., ECCV 2018, "Learning Warped Guidance for Blind Face Restoration"  [GFRNet]

All pictures are compared in the common tones, where faded and dark squares count as much as others. The networks in
here (EfficientNet-Lite0, SFace) therefore judge no guided result.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.identity.differentiable import DifferentiableSFace
from keepface.identity.image_encoder import ImageEncoder
from keepface.methods.guided.detail import DetailOutput
from keepface.methods.guided.guided_core import CoreOutput
from keepface.methods.guided.network import CORE_PX, GuidedOutput, shrink
from keepface.metrics.perceptual import stage_distance
from keepface.train.guided.adversary import Adversary, seems_real, told_apart
from keepface.train.guided.pairs import GuidedBatch

COARSE_PX = 32
ADVERSARY = 0.1  # ours: weight of the adversary's own loss; it only sets its share in the length of the gradient


@dataclass(frozen=True)
class GuidedLossSettings:
    """Weights of the losses."""

    pixels: float = 4.0
    coarse: float = 8.0  # pixels again, averaged over areas: pose and expression are the photo's, not a reference's
    perceptual: float = 1.0
    mix: float = 0.5  # perceptual, of the warped references alone: a mix that looks like the truth
    landmarks: float = 2.0  # of the flow, at the five points [GFRNet]
    smooth: float = 2.0  # second differences of the flow
    identity: float = 0.5
    core: float = 0.5  # of the core's own picture, where a detail stage is trained over it
    adversarial: float = 0.0  # of the finest stage's picture


Stages = list[Float[Tensor, "b _ _ _"]]


@dataclass(frozen=True, eq=False)
class _Seen:
    """A stage's picture beside its truth, as RGB and through the image network."""

    made: Float[Tensor, "b 3 s s"]
    real: Float[Tensor, "b 3 s s"]
    made_stages: Stages
    real_stages: Stages


class GuidedLosses(nn.Module):
    """The losses of a batch, by name; `total` is their weighted sum.

    Its parameters are those of the adversary, where there is one: one step of one optimiser changes both sides. The
    restorer's loss holds the adversary's parameters still, and the adversary's holds the pictures still.
    """

    def __init__(self, settings: GuidedLossSettings, identity_faces: int = 3) -> None:
        super().__init__()
        self.settings, self._identity_faces = settings, identity_faces  # of a batch: the dearest loss
        encoder = ImageEncoder.load()
        self._frozen: tuple[ImageEncoder, DifferentiableSFace] = (encoder, DifferentiableSFace())  # no submodules
        self.adversary = None
        if settings.adversarial:
            with torch.no_grad():
                channels = [stage.shape[1] for stage in encoder.stages(torch.zeros(1, 3, 64, 64))]
            self.adversary = Adversary(channels)

    def forward(self, output: GuidedOutput, batch: GuidedBatch, trains_core: bool) -> dict[str, Tensor]:
        """Compare a batch's output with its truth."""
        settings, truth = self.settings, output.tones.to_common(batch.clean)
        for network in self._frozen:
            network.to(truth.device)
        led = batch.present & batch.is_person[:, None]
        stages: list[tuple[CoreOutput | DetailOutput, Tensor, str]] = []
        if trains_core:
            stages.append((output.core, shrink(truth, CORE_PX), "core_" if output.detail else ""))
        if output.detail is not None:
            stages.append((output.detail, truth, ""))
        found: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        for stage, wanted, name in stages:
            seen = self._see(stage.picture, wanted)
            values = self._stage(stage, seen, wanted, batch, led)
            found |= {name + key: value for key, value in values.items()}
            weight = settings.core if name else 1.0
            weighted += [weight * getattr(settings, key) * value for key, value in values.items()]
        chosen = torch.arange(len(truth))[batch.is_person][: self._identity_faces]
        if settings.identity and len(chosen):
            found["identity"] = self._identity(seen.made[chosen], seen.real[chosen])
            weighted.append(settings.identity * found["identity"])
        if self.adversary is not None:
            self.adversary.requires_grad_(False)
            found["adversarial"] = seems_real(self.adversary(seen.made_stages, seen.made))
            self.adversary.requires_grad_(True)
            made = self.adversary([stage.detach() for stage in seen.made_stages], seen.made.detach())
            found["adversary"] = told_apart(self.adversary(seen.real_stages, seen.real), made)
            weighted += [settings.adversarial * found["adversarial"], ADVERSARY * found["adversary"]]
        return {"total": torch.stack(weighted).sum(), **found}

    def _see(self, picture: Float[Tensor, "b 3 s s"], truth: Float[Tensor, "b 3 s s"]) -> _Seen:
        made, real = as_seen(picture), as_seen(truth)
        with torch.no_grad():
            real_stages = self._frozen[0].stages(real)
        return _Seen(made, real, self._frozen[0].stages(made), real_stages)

    def _stage(
        self,
        stage: CoreOutput | DetailOutput,
        seen: _Seen,
        truth: Float[Tensor, "b 3 s s"],
        batch: GuidedBatch,
        led: Bool[Tensor, "b k"],
    ) -> dict[str, Tensor]:
        found = {
            "pixels": (stage.picture - truth).abs().mean() / 2,
            "coarse": coarse_difference(stage.picture, truth) / 2,
            "perceptual": _distance(seen.made_stages, seen.real_stages),
        }
        if bool(led.any()):
            rows = led.any(1)
            mixed = self._frozen[0].stages(as_seen(stage.mix[rows]))
            found["mix"] = _distance(mixed, [item[rows] for item in seen.real_stages])
            found["landmarks"] = landmark_loss(stage.match.flow, batch.points, batch.reference_points, led)
            found["smooth"] = second_differences(stage.match.flow)
        return found

    def _identity(self, made: Float[Tensor, "b 3 s s"], real: Float[Tensor, "b 3 s s"]) -> Tensor:
        recogniser = self._frozen[1]
        with torch.no_grad():
            wanted = recogniser(real)
        cosine: Tensor = (recogniser(made) * wanted).sum(1)
        return 1 - cosine.mean()


def _distance(made: Stages, real: Stages) -> Float[Tensor, ""]:
    """Return the batch's mean of what `PerceptualDistance` measures, of features at hand."""
    return torch.stack([stage_distance(x, y) for x, y in zip(made, real, strict=True)]).mean()


def as_seen(common: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Return squares in the common tones as RGB, 0..1, cut where they go beyond."""
    return ((common + 1) / 2).clamp(0, 1)


def coarse_difference(picture: Float[Tensor, "b 3 s s"], truth: Float[Tensor, "b 3 s s"]) -> Float[Tensor, ""]:
    """Return the mean absolute difference of squares that were averaged down to 32 px."""
    difference = picture - truth
    return functional.avg_pool2d(difference, difference.shape[-1] // COARSE_PX).abs().mean()


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
