"""What a method offers to those above it; nothing above names a particular method."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from keepface.diffusion.family import Family
from keepface.diffusion.sampler import (
    Predict,
    SamplerSettings,
    StartName,
    Step,
    make_scheduler,
    sample,
    start_latent,
)
from keepface.errors import WeightsError
from keepface.identity.embed import IdentityFeatures
from keepface.seeds import generator


@dataclass(frozen=True)
class Defaults:
    """How a method samples where neither a call nor the family says; `None` takes the card's value for any method."""

    start: StartName = "low"
    steps: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    fidelity: float | None = None
    takes_any_crop: bool = False  # it needs no aligned faces: what is larger than its squares is restored by tiles


@dataclass(frozen=True)
class Sampling:
    """How a method samples over a family where a call leaves it open."""

    start: StartName
    steps: int
    guidance: float
    temperature: float
    fidelity: float


@dataclass(frozen=True)
class Phase:
    """What one training phase of a method asks of its batches, and what of it can be shown."""

    has_low: bool = True  # it restores; False: it draws new faces, without a low picture
    has_identity: bool = True  # references lead it
    has_tokens: bool = False  # references come as photos, of which image tokens are made; packs keep pooled features
    references: int = 0  # each target has exactly so many, different photos of its person and not itself; 0: any
    min_others: int = 0  # targets are people with at least so many other photos


@dataclass(frozen=True, eq=False)
class References:
    """One person's references as features, with a weight 0..1 each; 0 is as if the reference were absent."""

    recogniser: Float[Tensor, "r d1"]
    image: Float[Tensor, "r d2"]
    weights: Float[Tensor, "r"]
    tokens: Float[Tensor, "r t c"] | None = None  # of the image network, for methods that look at more than `image`

    @classmethod
    def stack(
        cls, features: Sequence[tuple[Tensor, ...]], weights: Sequence[float] | None = None
    ) -> "References | None":
        """Stack (recogniser, image) or (recogniser, image, tokens) of the references; `None` when there is none."""
        if not features:
            return None
        scale = torch.tensor(weights if weights is not None else [1.0] * len(features), dtype=torch.float32)
        first, second, *tokens = (torch.stack(list(part)) for part in zip(*features, strict=True))
        return cls(first, second, scale, *tokens)

    @classmethod
    def learned(cls, strength: float = 1.0) -> "References":
        """Stand for the person that a method has loaded, with a strength of 0..1; there are no features to look at."""
        return cls(torch.zeros(1, 0), torch.zeros(1, 0), torch.tensor([strength]))

    def used(self) -> "References | None":
        """Return the references whose weight is above 0; `None` when there is none."""
        is_used = self.weights > 0
        if not bool(is_used.any()):
            return None
        tokens = None if self.tokens is None else self.tokens[is_used]
        return References(self.recogniser[is_used], self.image[is_used], self.weights[is_used], tokens)


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """The references of one square of a one-pass method: their features, and a weight of 0..1 for each."""

    features: tuple[IdentityFeatures, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Attribution:
    """Where a square that a one-pass method restored came from."""

    picture: Float[Tensor, "3 s s"]  # restored, RGB, 0..1
    alone: Float[Tensor, "3 s s"]  # restored by the photo alone
    copied: Float[Tensor, "1 s s"]  # 0..1: how much of each pixel is the references' own
    by_reference: tuple[float, ...]  # mean share of each reference in what was copied; sum 1, or empty


@runtime_checkable
class OnePass(Protocol):
    """A method without a diffusion family: squares go through one network once, and no noise is drawn."""

    name: str

    @property
    def size(self) -> int:
        """Return the side of its squares in pixels."""
        ...

    @property
    def device(self) -> torch.device:
        """Return where its network computes."""
        ...

    @property
    def sha256(self) -> str:
        """Return the hash of its weights."""
        ...

    def restore_squares(
        self, low: Float[Tensor, "b 3 s s"], references: Sequence[ReferenceSet], fidelity: float = 0.0
    ) -> Float[Tensor, "b 3 s s"]:
        """Restore squares (RGB, 0..1), each by its own references, or by the photo alone."""
        ...

    def restore_large(self, low: Float[Tensor, "3 s s"], references: ReferenceSet, side: int) -> Float[Tensor, "3 t t"]:
        """Restore one square and enlarge it to `side`, with the references' detail finer than its own."""
        ...

    def attribution(self, low: Float[Tensor, "3 s s"], references: ReferenceSet) -> Attribution:
        """Restore one square and say where each pixel came from."""
        ...


def guided_groups(references: Sequence[References | None], guidance: float) -> list[list[References | None]]:
    """Return what each item is led by in each pass that guidance needs: [nobody, its references], or one of the two.

    Guidance 1 needs the references alone; guidance 0 nobody alone, as does a batch without any references.
    """
    nobody: list[References | None] = [None] * len(references)
    given = [item and item.used() for item in references]
    if guidance == 0.0 or given == nobody:
        return [nobody]
    return [given] if guidance == 1.0 else [nobody, given]


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """One training batch, drawn as a pure function of (seed, step).

    Padded references have a false entry in `has_reference`; an item without any is trained on the plain prompt.
    """

    clean: Float[Tensor, "b 3 s s"]
    low: Float[Tensor, "b 3 s s"]
    recogniser: Float[Tensor, "b r d1"]
    image: Float[Tensor, "b r d2"]
    has_reference: Bool[Tensor, "b r"]
    detail_px: Float[Tensor, "b"]
    eps: Float[Tensor, "b c h w"]
    t: Tensor  # "b", int64, 0..T-1
    tokens: Float[Tensor, "b r n c2"] | None = None  # image tokens of the references, where the phase asks for them


@runtime_checkable
class Method(Protocol):
    """A published system: it restores squares of its family's size, and trains its own parts."""

    name: str
    family: Family

    def restore(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[References | None],
        settings: SamplerSettings,
        guidance: float,
        seeds: Sequence[int],
    ) -> Iterator[Step]:
        """Yield each sampling step; `decode` of the last step's latent is the restored square."""
        ...

    def bind(
        self, scheduler: Any, low: Float[Tensor, "b 3 s s"], references: Sequence[References | None], guidance: float
    ) -> Predict:
        """Bind squares (RGB, 0..1), their references and guidance, so that a sampler sees x_t and t alone.

        `restore` samples with it, and a large picture is restored with it tile by tile.
        """
        ...

    def trainable(self, phase: str) -> nn.Module:
        """Return the parts that a training phase of the paper changes."""
        ...

    def loss(self, batch: TrainBatch, phase: str) -> dict[str, Tensor]:
        """Return the losses of one batch by name; `total` is the one to follow downhill."""
        ...

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the method's own parts into a family's folder."""
        ...


@runtime_checkable
class Personal(Protocol):
    """What a method offers besides that learns a person in weights of their own, and is led by them without photos."""

    name: str

    @property
    def has_person(self) -> bool:
        """Tell whether somebody is loaded, who then leads wherever `References.learned` stand for them."""
        ...

    def load_adapter(self, source: Path | bytes) -> None:
        """Load a person's file, or its bytes, in the place of whoever was loaded."""
        ...

    def unload_adapter(self) -> None:
        """Restore for nobody again."""
        ...

    def base_hash(self) -> str:
        """Return the fingerprint of the networks that people are learned over."""
        ...


def own_folder(family: Family, name: str) -> Path:
    """Return the folder of a method's own parts in its family's folder.

    Raises:
        WeightsError: the family was never trained for the method.
    """
    if family.folder is None or not (family.folder / name).is_dir():
        raise WeightsError(f"family {family.card.name!r} has no {name} weights; train them: keepface train")
    return family.folder / name


@torch.no_grad()
def sample_squares(
    method: Method,
    low: Float[Tensor, "b 3 s s"],
    references: Sequence[References | None],
    settings: SamplerSettings,
    guidance: float,
    seeds: Sequence[int],
    structure: Float[Tensor, "b 3 s s"] | None = None,
) -> Iterator[Step]:
    """Walk from each square's start latent by what the method binds; item i has a generator of its own, of seeds[i].

    With `structure` the start latent is that of other squares than the degraded ones, which still condition the model.
    """
    family, generators = method.family, [generator(seed, "restore") for seed in seeds]
    scheduler = make_scheduler(dict(family.scheduler.config), settings.name, settings.scheduled, family.device)
    z_LQ = (
        family.encode(low if structure is None else structure)
        if settings.starts_from_low
        else torch.zeros(len(low), *family.latent_shape)
    )
    x_T = start_latent(scheduler, z_LQ.to(family.device, family.dtype), settings, generators)
    predict = method.bind(scheduler, low, references, guidance)
    yield from sample(predict, scheduler, x_T, generators, settings.fidelity)
