"""References that a method draws itself, where the paper asks another network for them.

Liu et al. 2025, "FaceMe: Robust blind face restoration with personal identification", AAAI  [FaceMe]

The paper draws its references with Arc2Face, which takes a person's embedding and, through a ControlNet, a pose. Ours
come from the method that is being trained: without its ControlNet it is a generator of a given person's pictures
[FaceMe, Training strategy]. Such a generator takes no pose. So the pose, where one is wanted, comes through the
ControlNet after all: it is shown the pose photo so coarse that it tells where eyes and mouth are but not whose, and
against a strongly degraded picture the references win [FaceMe, Supplement Fig. 2].  # ours
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.data.prepare import Pack
from keepface.degrade.chains import replay
from keepface.degrade.drawn import Step as Degradation
from keepface.diffusion.sampler import SamplerName, SamplerSettings, Step
from keepface.errors import RecipeError
from keepface.image.files import from_uint8
from keepface.methods.method import Method, References

COARSEST = 16.0  # the strongest shrinking that a ControlNet is trained on, as in Eq. 6


@dataclass(frozen=True)
class SynthesisSettings:
    """How references are drawn.

    pose_strength: how much of the pose photo shows: 0 nothing, the picture comes from noise alone and the cells of a
        pool differ by chance only; towards 0 it is shrunk 16 times, at 1 it is as it is and leaves its own person in.
    guidance: identity guidance; `None` takes the family's.
    """

    sampler: SamplerName = "unipc"
    steps: int = 20
    guidance: float | None = None
    pose_strength: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.pose_strength <= 1:
            raise RecipeError(f"pose_strength is {self.pose_strength}; it must be from 0 to 1")


class Generative(Method, Protocol):
    """A method that can also draw pictures of a person from noise alone."""

    def synthesise(
        self, references: Sequence[References | None], settings: SamplerSettings, guidance: float, seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Yield each sampling step; `decode` of the last step's latent is the picture."""
        ...


class MethodSynthesiser:
    """Draw the people of a pack's photos by a method, each led by the one photo's features."""

    def __init__(self, method: Generative, pack: Pack, settings: SynthesisSettings) -> None:
        self._method, self._pack, self._settings = method, pack, settings

    def settings(self) -> dict[str, Any]:
        """Say in plain values all that the pictures depend on besides the pack."""
        card = self._method.family.card
        made_by = {"family": card.name, "history": list(card.history), "method": self._method.name}
        return made_by | asdict(self._settings) | {"guidance": self._guidance}

    @property
    def _guidance(self) -> float:
        return self._method.family.card.guidance if self._settings.guidance is None else self._settings.guidance

    def synthesise(
        self, targets: Sequence[int], poses: Sequence[int], seeds: Sequence[int]
    ) -> Float[Tensor, "b 3 s s"]:
        """Draw the person of each target (RGB, 0..1), in the pose of the photo beside it as far as it shows."""
        method, settings = self._method, self._settings
        features = self._pack.features
        people = [
            References.stack([(features["recogniser"][0, target], features["image"][0, target])]) for target in targets
        ]
        sampler = SamplerSettings(settings.sampler, settings.steps)
        if settings.pose_strength == 0:
            steps = method.synthesise(people, sampler, self._guidance, seeds)
        else:
            squares = [from_uint8(self._pack.square(pose)) for pose in poses]
            coarse = torch.stack([pose_picture(square, settings.pose_strength) for square in squares])
            steps = method.restore(coarse, people, sampler, self._guidance, seeds)
        *_, last = steps
        return method.family.decode(last.x_t)


def pose_picture(square: Float[Tensor, "3 s s"], strength: float) -> Float[Tensor, "3 s s"]:
    """Coarsen a pose photo as degraded pictures are in training, without noise and JPEG: blur, shrink, enlarge.

    It is shrunk COARSEST ** (1 - strength) times.
    """
    side, times = square.shape[-1], COARSEST ** (1 - strength)
    small = max(1, int(side / times))
    if small == side:
        return square
    sigma = times / 2  # px; keeps the shrinking from aliasing
    draw = (
        Degradation("blur", {"kernel": 41, "sigma_x": sigma, "sigma_y": sigma, "theta": 0.0}),
        Degradation("resize", {"height": small, "width": small}),
        Degradation("resize", {"height": side, "width": side}),
    )
    return replay(draw, square)
