"""Train the guided network: its 128 px core, then the detail stage over it, or both."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepface.config import from_dict
from keepface.errors import RecipeError
from keepface.methods.guided.files import BUNDLED, load_network, save_network
from keepface.methods.guided.network import GuidedNetwork, GuidedOutput
from keepface.metrics.fidelity import psnr
from keepface.seeds import derive
from keepface.train.guided.faces import FaceCrops
from keepface.train.guided.losses import GuidedLosses, GuidedLossSettings
from keepface.train.guided.pairs import GuidedBatch, GuidedBatchSettings, GuidedPairs
from keepface.train.loop import Validation
from keepface.train.recipe import Recipe, history_line

PHASES = ("core", "detail", "all")
GRID_COLUMNS = 8


@dataclass(frozen=True)
class GuidedTrainSettings(GuidedBatchSettings):
    """A recipe's [method] table: how batches are drawn, and from which shards."""

    train: tuple[str, ...] = ("train",)  # beginnings of the shards' names
    val: tuple[str, ...] = ("val",)
    identity_faces: int = 3  # of a batch are compared by the recogniser, the dearest of the losses


class GuidedTask:
    """One phase: `core` (squares of 128 px), `detail` (256 px over a fixed core), or `all` (256 px, both)."""

    def __init__(self, recipe: Recipe, data: Path) -> None:
        if recipe.phase not in PHASES:
            raise RecipeError(f"phase {recipe.phase!r} is unknown; guided has {', '.join(PHASES)}")
        self._recipe = recipe
        settings = from_dict(GuidedTrainSettings, recipe.method, "[method]")
        weights = from_dict(GuidedLossSettings, dict(recipe.loss), "[loss]")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(recipe.run.seed, "guided"))
            self._losses = GuidedLosses(weights, settings.identity_faces)
            self.network = _begin(recipe)
        if settings.size != self.network.size:
            raise RecipeError(f"[method]: size is {settings.size}; phase {recipe.phase!r} needs {self.network.size}")
        parts: dict[str, nn.Module] = {"core": self.network.core, "all": self.network}
        if self.network.detail is not None:
            parts["detail"] = self.network.detail
        trained = parts[recipe.phase]
        self.network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        trained.requires_grad_(True)
        self.networks: nn.Module = nn.ModuleDict({"restorer": trained, "losses": self._losses})
        self._pairs = GuidedPairs(FaceCrops.read(data, settings.train), settings)
        self._val = GuidedPairs(FaceCrops.read(data, settings.val), settings)
        self._pool = ThreadPoolExecutor(1, "keepface-batches")
        self._ahead: dict[tuple[int, int], Future[GuidedBatch]] = {}

    def batch(self, step: int, size: int) -> GuidedBatch:
        """Draw the batch of a step; the next one is drawn in a thread meanwhile."""
        seed = self._recipe.run.seed
        waiting = self._ahead.pop((step, size), None)
        self._ahead = {(step + 1, size): self._pool.submit(self._pairs.batch, step + 1, size, seed)}
        return waiting.result() if waiting else self._pairs.batch(step, size, seed)

    def losses(self, batch: GuidedBatch) -> dict[str, Tensor]:
        """Return the losses of a batch by name, `total` among them."""
        device = next(self.networks.parameters()).device
        self.network.to(device)  # the loop moves what is trained; the rest goes along
        batch = GuidedBatch(*(getattr(batch, item.name).to(device) for item in fields(batch)))
        return self._losses(self._restore(batch), batch, trains_core=self._recipe.phase != "detail")

    def validate(self, items: int) -> Validation:
        """Restore fixed validation squares; the grid shows truth, degraded, first reference, restored."""
        batch = self._val.batch(0, items, 0)
        device = next(self.networks.parameters()).device
        low, references, present = (part.to(device) for part in (batch.low, batch.references, batch.present))
        restored = self._restore(replace(batch, low=low, references=references, present=present)).picture
        restored = restored.clamp(0, 1).cpu()
        numbers = {
            "psnr_low": float(psnr(batch.low, batch.clean).mean()),
            "psnr": float(psnr(restored, batch.clean).mean()),
        }
        rows: Sequence[Float[Tensor, "b 3 s s"]] = (batch.clean, batch.low, batch.references[:, 0], restored)
        grid = torch.cat([torch.cat(list(row[:GRID_COLUMNS]), 2) for row in rows], 1)
        return Validation(numbers, grid)

    def export(self, folder: Path) -> None:
        """Write the network's weights and their history."""
        save_network(self.network, folder, (history_line(self._recipe),))

    def _restore(self, batch: GuidedBatch) -> GuidedOutput:
        prepared = self.network.prepare(batch.references.flatten(0, 1))
        output: GuidedOutput = self.network(batch.low, prepared, batch.present.to(batch.low))
        return output


def _begin(recipe: Recipe) -> GuidedNetwork:
    """Build the network of a phase, with what the recipe's `init_from` has of it."""
    network = GuidedNetwork(recipe.phase != "core")
    if recipe.init_from:
        start = load_network(None if recipe.init_from == BUNDLED else Path(recipe.init_from))
        network.core.load_state_dict(start.core.state_dict())
        if network.detail is not None and start.detail is not None:
            network.detail.load_state_dict(start.detail.state_dict())
    return network
