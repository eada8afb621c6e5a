"""Who makes the pictures of a line: a copy of the input, a family and method, or a blind restorer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.blind import BlindRestorer
from keepface.bench.lines import System
from keepface.bench.memory import Watch
from keepface.bench.photos import Photos
from keepface.bench.plan import Target, leaders
from keepface.bench.settings import BenchSettings, Blind
from keepface.bench.suite import Row
from keepface.config import to_dict
from keepface.data.reference_photos import coarsen
from keepface.device import choose_device
from keepface.diffusion.family import FamilyCard
from keepface.engine.photo import Squares
from keepface.faces.align import FFHQ_SIDE
from keepface.identity.embed import IdentityFeatures
from keepface.image.size import resize
from keepface.methods.method import OnePass
from keepface.seeds import numpy_generator

CPU = torch.device("cpu")


@runtime_checkable
class SquareEmbedder(Protocol):
    """What a suite asks of the restorer's embedder."""

    def embed_square(self, image: Float[Tensor, "3 s s"]) -> IdentityFeatures:
        """Return what one aligned square tells of its person."""
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """What a suite asks of the restorer's family."""

    @property
    def card(self) -> FamilyCard:
        """What there is to know of the family; results of two cards are never mixed."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its networks run."""
        ...

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Return the pictures' latents."""
        ...

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """Return the latents' pictures."""
        ...


@runtime_checkable
class WithFamily(Protocol):
    """What a suite asks of the restorer's method."""

    @property
    def family(self) -> Autoencoder:
        """The networks it works with."""
        ...


@runtime_checkable
class SquareRestorer(Squares, Protocol):
    """What a suite asks of a restorer."""

    @property
    def method(self) -> WithFamily | OnePass:
        """The method it restores by."""
        ...

    @property
    def embedder(self) -> SquareEmbedder:
        """What turns references into features."""
        ...


Load = Callable[[System], SquareRestorer]


@dataclass(frozen=True, eq=False)
class Batch:
    """Some targets of one line, with what is given for each."""

    row: Row
    targets: Sequence[Target]
    lows: Float[Tensor, "b 3 s s"]
    truths: Float[Tensor, "b 3 s s"]
    seeds: Sequence[int]


@dataclass(frozen=True, eq=False)
class Made:
    """The pictures of a batch, and what one took: its share of the seconds, the whole batch's peak of memory."""

    pictures: Float[Tensor, "b 3 s s"]
    seconds: float
    peak_mib: float


@runtime_checkable
class Maker(Protocol):
    """Makes the pictures of lines."""

    @property
    def card(self) -> dict[str, Any]:
        """What there is to know of it; results of two cards are never mixed."""
        ...

    def leaders(self, row: Row, target: Target) -> tuple[int, ...]:
        """Return the photos that lead; a `DataError` says why there are not enough."""
        ...

    def make(self, batch: Batch) -> Made:
        """Make the pictures."""
        ...


class CopyMaker:
    """Gives back what it is given."""

    card: dict[str, Any] = {}

    def leaders(self, row: Row, target: Target) -> tuple[int, ...]:
        """Return nobody."""
        return ()

    def make(self, batch: Batch) -> Made:
        """Return the low pictures."""
        return Made(batch.lows, 0.0, 0.0)


class BlindMaker:
    """Asks a restorer that knows no person."""

    def __init__(self, blind: Blind, device: str | None) -> None:
        self._device = choose_device(device)
        self._restorer = BlindRestorer.load(Path(blind.path), self._device)

    @property
    def card(self) -> dict[str, Any]:
        """Return the network's name and its file's SHA-256."""
        return dict(self._restorer.card)

    def leaders(self, row: Row, target: Target) -> tuple[int, ...]:
        """Return nobody."""
        return ()

    def make(self, batch: Batch) -> Made:
        """Restore the low pictures."""
        with Watch(self._device) as watch:
            pictures = self._restorer.restore(batch.lows)
        return Made(pictures, watch.seconds / len(pictures), watch.peak_mib)


class SystemMaker:
    """Asks a method over a family; each photo is embedded once."""

    def __init__(self, restorer: SquareRestorer, photos: Photos, settings: BenchSettings) -> None:
        self._restorer, self._photos, self._settings = restorer, photos, settings
        self._features: dict[tuple[int, int], IdentityFeatures] = {}

    @property
    def card(self) -> dict[str, Any]:
        """Return the family's card; of a one-pass method its name and its weights' SHA-256."""
        method = self._restorer.method
        if isinstance(method, OnePass):
            return {"method": method.name, "sha256": method.sha256}
        return to_dict(method.family.card)

    def leaders(self, row: Row, target: Target) -> tuple[int, ...]:
        """Return the photos that lead, chosen by their points where the row says so."""
        return leaders(row, target, lambda index: np.asarray(self._embed(index, FFHQ_SIDE).face.points))

    def make(self, batch: Batch) -> Made:
        """Restore, or send the truths through the autoencoder; embedding the references is not timed."""
        method, size, measured = self._restorer.method, self._restorer.size, batch.lows.shape[-1]
        given = batch.truths if batch.row.how == "round trip" else batch.lows
        given = resize(given, (size, size), "bicubic")
        references = [self._references(batch.row, target) for target in batch.targets]
        with Watch(method.device if isinstance(method, OnePass) else method.family.device) as watch:
            if batch.row.how == "round trip":
                assert not isinstance(method, OnePass), "lines() leaves out what a method without autoencoder can't do"
                pictures = method.family.decode(method.family.encode(given))
            else:
                pictures = self._restorer.restore_squares(given, references, self._settings.restore, batch.seeds)
        pictures = resize(pictures.float().cpu(), (measured, measured), "bicubic")
        return Made(pictures, watch.seconds / len(batch.targets), watch.peak_mib)

    def _references(self, row: Row, target: Target) -> list[IdentityFeatures]:
        return [self._embed(index, self._side(row, index)) for index in self.leaders(row, target)]

    def _side(self, row: Row, index: int) -> int:
        """Return the side that a reference is shrunk to, as of 512 px; a drawn one depends on seed and photo alone."""
        if row.reference_px is None:
            return FFHQ_SIDE
        least, most = row.reference_px
        rng = numpy_generator(self._settings.seed, "bench", "reference side", index)
        return int(rng.integers(least, most + 1))

    def _embed(self, index: int, side: int) -> IdentityFeatures:
        if (index, side) not in self._features:
            square = self._photos.square(index, self._restorer.size)
            shown = coarsen(square, side / FFHQ_SIDE)
            self._features[index, side] = self._restorer.embedder.embed_square(shown)
        return self._features[index, side]
