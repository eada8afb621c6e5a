"""Train a family's pre-cleaner: low squares in, clean squares wanted; no method, latent or person takes part.

Yue and Loy 2022, "DifFace: Blind face restoration with diffused error contraction"  [DifFace]
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.config import from_dict
from keepface.data.pairs import PairSampler
from keepface.data.prepare import Pack
from keepface.diffusion.cleaner import FOLDER, Cleaner, CleanerSettings
from keepface.diffusion.family import Family, write_card
from keepface.errors import RecipeError
from keepface.metrics.fidelity import psnr
from keepface.train.loop import Validation
from keepface.train.recipe import Recipe, history_line

GRID_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class CleanerBatch:
    """Squares (RGB, 0..1) and their low forms."""

    clean: Float[Tensor, "b 3 s s"]
    low: Float[Tensor, "b 3 s s"]


class CleanerTask:
    """Bring low squares near the clean ones, by the mean absolute difference.

    L1 is what DifFace's SwinIR was trained by: against the squared difference it leaves edges less soft where several
    clean pictures would fit, and is not ruled by the few worst pixels. [DifFace]
    """

    def __init__(self, family: Family, train: Pack, val: Pack, recipe: Recipe) -> None:
        if recipe.loss:
            raise RecipeError("[loss]: task 'cleaner' has one loss, the mean absolute difference; leave the table out")
        self.family, self._recipe = family, recipe
        settings = from_dict(CleanerSettings, recipe.method, "[method]")
        has_one = family.folder is not None and (family.folder / FOLDER).is_dir()
        if recipe.goes_on and has_one:
            self._cleaner = Cleaner.load(family)
        else:
            self._cleaner = Cleaner.begin(settings, family.size, recipe.run.seed).to(family.device)
        self.networks: nn.Module = self._cleaner.requires_grad_(True)
        self.networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a tenth faster on CPUs
        self._sampler = PairSampler(train, recipe.batch.pairs(), family.size)
        self._val_sampler = PairSampler(val, replace(recipe.batch, shift_px=0, flip=0.0).pairs(), family.size)

    def batch(self, step: int, size: int) -> CleanerBatch:
        """Draw the squares of a step and their low forms, a pure function of (step, size)."""
        drawn = self._sampler.batch(step, size, self._recipe.run.seed)
        return CleanerBatch(drawn.clean, drawn.low)

    def losses(self, batch: CleanerBatch) -> dict[str, Tensor]:
        """Return the mean absolute difference of cleaned and clean squares, on 0..1."""
        device = next(self.networks.parameters()).device
        l1 = functional.l1_loss(self.networks(batch.low.to(device)).float(), batch.clean.to(device))
        return {"total": l1}

    def validate(self, items: int) -> Validation:
        """Clean fixed validation squares; the grid shows truth over low over cleaned."""
        drawn = self._val_sampler.batch(0, items, 0)
        cleaned = self._cleaner.clean(drawn.low)
        numbers = {
            name: float(psnr(squares, drawn.clean).mean())
            for name, squares in (("psnr_low", drawn.low), ("psnr", cleaned))
        }
        rows = [torch.cat(list(squares[:GRID_COLUMNS]), dim=2) for squares in (drawn.clean, drawn.low, cleaned)]
        return Validation(numbers, torch.cat(rows, dim=1))

    def export(self, folder: Path) -> None:
        """Write the family with this cleaner; networks and methods' parts stay as they were, byte for byte."""
        family = self.family
        told = replace(family.card, history=(*family.card.history, history_line(self._recipe)))
        if family.folder is None:
            replace(family, card=told).save_pretrained(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            for part in sorted(family.folder.iterdir()):
                if part.is_dir() and part.name != FOLDER and not part.name.startswith("."):
                    shutil.copytree(part, folder / part.name, dirs_exist_ok=True)
            write_card(told, folder)  # a seal of the old family would not hold for this one
        self._cleaner.save(folder)
