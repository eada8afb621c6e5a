"""Drawn people and a restorer that gives back what it is given, so that every number of a suite is known beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.data.shards import LeftOut
from keepface.diffusion.family import FamilyCard
from keepface.diffusion.latents import LatentScale
from keepface.engine.settings import RestoreSettings
from keepface.faces.align import ffhq_template, template_face
from keepface.identity.embed import IdentityFeatures
from keepface.image.size import resize
from keepface.seeds import generator

SIZE = 32


class DrawnPhotos:
    """Smooth random squares; `counts` says how many photos each person has."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.identities: Sequence[str] = [name for name, count in counts.items() for _ in range(count)]
        self.native_px: Sequence[float] = [100.0] * len(self.identities)
        self.sources: Sequence[str] = ["first" if name < "c" else "second" for name in self.identities]
        self.left_out: Sequence[LeftOut] = ()

    def points(self, index: int) -> Float[np.ndarray, "5 2"]:
        """Turn bob's head between his two photos, nobody else's."""
        points = ffhq_template(100).copy()
        if self.identities[index] == "bob" and index % 2:
            points[2, 0] += 0.3 * (points[1, 0] - points[0, 0])
        return points

    def square(self, index: int, size: int) -> Float[Tensor, "3 s s"]:
        coarse = torch.rand(3, 6, 6, generator=generator(index, "drawn"))
        return resize(coarse, (size, size), "bicubic")


@dataclass
class PlainFamily:
    """An autoencoder that keeps everything."""

    card: FamilyCard = field(default_factory=lambda: FamilyCard("drawn", SIZE, LatentScale(mean=(0.0,), std=(1.0,))))

    device: torch.device = torch.device("cpu")

    def encode(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        return image * 2 - 1

    def decode(self, latent: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        return (latent + 1) / 2


@dataclass
class PlainMethod:
    """A method with the plain autoencoder."""

    family: PlainFamily = field(default_factory=PlainFamily)


class PlainEmbedder:
    """Features that hold the mean colour of the square they come from."""

    def embed_square(self, image: Float[Tensor, "3 s s"]) -> IdentityFeatures:
        mean = image.mean((1, 2))
        return IdentityFeatures(mean / mean.norm(), mean, template_face(image.shape[-1]), {"recogniser": "drawn"})


class PlainRestorer:
    """Give back the low squares, as they are; remember what each call was led by."""

    def __init__(self) -> None:
        self.size = SIZE
        self.method = PlainMethod()
        self.embedder = PlainEmbedder()
        self.calls: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []

    def restore_squares(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
        weights: Sequence[Sequence[float]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        self.calls.append((len(low), tuple(len(own) for own in references), tuple(seeds)))
        return low
