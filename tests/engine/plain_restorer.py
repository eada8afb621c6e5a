"""A restorer without a diffusion model: real detector, recognisers and files, and arithmetic in the model's place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.engine.photo import Progress
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import Tiled
from keepface.identity.embed import IdentityEmbedder, IdentityFeatures
from keepface.identity.recogniser import JUDGE, RECOGNISERS, Recogniser
from keepface.image.files import Photo, write_photo
from keepface.image.tiles import Layout

ALBUM = Path(__file__).resolve().parents[2].parent / "shared" / "album"
ANNA, BEN = "lfw-4606", "lfw-1043"  # two people of the album; the first is alone in photo 00
SIZE = 128
KEPT = 0.8  # of a square's contrast: little less, for the photo's grain is added to what is pasted back
STEPS = 20  # where a call says nothing of them
LIFT = 0.15  # what an unled square is raised by


@dataclass
class Method:
    name: str = "plain"


@dataclass
class PlainRestorer:
    """Keeps most of the contrast of a square, and makes it darker when it is led by references, else brighter.

    restored = KEPT low when led, and KEPT low + LIFT otherwise; red is raised a little in both, so that grey is lost.
    """

    embedder: IdentityEmbedder
    judge: Recogniser
    size: int = SIZE
    method: Method = field(default_factory=Method)
    calls: list[dict[str, object]] = field(default_factory=list)
    cleaned: Callable[[Tensor], Tensor] | None = None  # in a pre-cleaner's place

    def enlarge_square(self, low: Tensor, *led: Any) -> Tensor | None:
        return None

    def clean_squares(self, low: Tensor) -> Tensor | None:
        return self.cleaned(low) if self.cleaned else None

    def cleans(self, settings: RestoreSettings, by_tiles: bool = False) -> bool:
        return bool(settings.clean)

    def restore_squares(
        self,
        low: Tensor,
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
        weights: Sequence[Sequence[float]] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        call = {"references": [len(r) for r in references], "seeds": list(seeds), "weights": weights}
        self.calls.append({**call, "settings": (settings.fidelity, settings.identity)})
        if progress:
            progress(settings.steps or STEPS, settings.steps or STEPS)
        lifts = torch.tensor([0.0 if items else LIFT for items in references]).view(-1, 1, 1, 1)
        return KEPT * low + lifts + torch.tensor([0.05, 0.0, 0.0]).view(1, 3, 1, 1)

    def restore_tiles(
        self,
        low: Tensor,
        references: Sequence[IdentityFeatures],
        settings: RestoreSettings,
        seed: int,
        weights: Sequence[float] | None = None,
        progress: Progress | None = None,
    ) -> Tiled:
        """Do to a picture what is done to a square, and say that it was two tiles."""
        whole = self.restore_squares(low[None], [references], settings, [seed], None, progress)[0]
        height, width = low.shape[1:]
        return Tiled(whole, Layout((height, width), (height, width // 2), (0,), (0, width - width // 2)))


def load_restorer() -> PlainRestorer:
    return PlainRestorer(IdentityEmbedder.load(), RECOGNISERS[JUDGE]())


def album(name: str) -> Path:
    path = ALBUM / name
    if not path.exists():
        pytest.skip(f"there is no album/{name} in shared/ beside the repository")
    return path


def person(name: str, count: int = 2) -> list[Path]:
    return [album(f"people/{name}/{number}.jpg") for number in range(count)]


def landscape(path: Path, height: int = 90, width: int = 120) -> Path:
    """Write a picture with no face in it: two gradients."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pixels = np.stack([x / width, y / height, (x + y) / (width + height)])
    write_photo(Photo(pixels=torch.from_numpy(pixels)), path)
    return path
