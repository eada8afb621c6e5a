"""Train one phase of a method on drawn faces; which method it is, the recipe says."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keepface.data.pairs import PairSampler
from keepface.data.prepare import Pack
from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings, Step
from keepface.methods.method import References, TrainBatch
from keepface.metrics.fidelity import psnr
from keepface.seeds import generator
from keepface.train.loop import Validation
from keepface.train.recipe import Recipe, history_line

VALIDATION_STEPS = 10
GRID_COLUMNS = 8


class MethodTask:
    """One phase of a method over a family, on packs of faces with identity features."""

    def __init__(self, method: Any, train: Pack, val: Pack, recipe: Recipe) -> None:
        self.method, self.family, self._recipe = method, method.family, recipe
        self.networks = method.trainable(recipe.phase)
        self._sampler = PairSampler(train, recipe.batch.pairs())
        still = replace(recipe.batch, shift_px=0, flip=0.0, identity_dropout=0.0, own_in_pool=False)
        self._val_sampler = PairSampler(val, still.pairs())

    def batch(self, step: int, size: int) -> TrainBatch:
        """Draw the faces, their low forms, references, noise and times of a step."""
        return assemble(self._sampler, self.family, step, size, self._recipe.run.seed)

    def losses(self, batch: TrainBatch) -> dict[str, Tensor]:
        """Return the phase's losses."""
        return dict(self.method.loss(batch, self._recipe.phase))

    def validate(self, items: int) -> Validation:
        """Restore fixed validation squares with and without their references.

        The grid shows truth, low, without, with references; a phase without ControlNet draws new faces instead.
        """
        batch = assemble(self._val_sampler, self.family, 0, items, 0)
        references = [_references(batch, i) for i in range(items)]
        loss = float(self.method.loss(batch, self._recipe.phase)["total"])
        settings = SamplerSettings(steps=VALIDATION_STEPS)
        seeds, nobody = list(range(items)), [None] * items
        if self._recipe.phase == "base":
            pictures = [self._decode(self.method.synthesise(who, settings, 1.0, seeds)) for who in (nobody, references)]
            return Validation({"loss": loss}, _grid([batch.clean, *pictures]))
        pictures = [
            self._decode(self.method.restore(batch.low, who, settings, 1.0, seeds)) for who in (nobody, references)
        ]
        numbers = {"loss": loss, "psnr_low": float(psnr(batch.low, batch.clean).mean())}
        for name, picture in zip(("psnr_without", "psnr_with"), pictures, strict=True):
            numbers[name] = float(psnr(picture, batch.clean).mean())
        return Validation(numbers, _grid([batch.clean, batch.low, *pictures]))

    def export(self, folder: Path) -> None:
        """Write the family with the method's parts."""
        card = self.family.card
        told = replace(card, history=(*card.history, history_line(self._recipe)))
        replace(self.family, card=told).save_pretrained(folder)
        self.method.save(folder, torch.float16)

    def _decode(self, steps: Iterator[Step]) -> Tensor:
        *_, last = steps
        return self.family.decode(last.x_t)


def assemble(sampler: PairSampler, family: Family, step: int, size: int, seed: int) -> TrainBatch:
    """Draw the faces, their low forms, references, noise and times of a step, a pure function of (step, size, seed)."""
    drawn = sampler.batch(step, size, seed)
    rng = generator(seed, "diffusion", step)
    recogniser, image = drawn.features["recogniser"], drawn.features["image"]
    return TrainBatch(
        clean=drawn.clean,
        low=drawn.low,
        recogniser=recogniser,
        image=image,
        has_reference=(~drawn.is_dropped)[:, None].expand(recogniser.shape[:2]),
        detail_px=drawn.detail_px.clamp(max=family.size).float(),
        eps=torch.randn((size, *family.latent_shape), generator=rng),
        t=torch.randint(0, family.scheduler.config.num_train_timesteps, (size,), generator=rng),
    )


def _references(batch: TrainBatch, i: int) -> References | None:
    used = batch.has_reference[i]
    if not bool(used.any()):
        return None
    return References(batch.recogniser[i][used], batch.image[i][used], torch.ones(int(used.sum())))


def _grid(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat([torch.cat(list(row[:GRID_COLUMNS].float().cpu()), dim=2) for row in rows], dim=1)
