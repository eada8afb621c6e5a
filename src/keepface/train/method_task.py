"""Train one phase of a method on drawn faces; which method it is, the recipe says."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keepface.data.pairs import PairSampler
from keepface.data.prepare import Pack
from keepface.data.reference_photos import ReferencePhotos
from keepface.diffusion.cleaner import Cleaner, keep_cleaner
from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings, Step
from keepface.errors import RecipeError
from keepface.identity.crop_features import CropFeatures
from keepface.methods import DEFAULTS, METHODS, PHASES
from keepface.methods.method import Phase, References, TrainBatch
from keepface.metrics.fidelity import psnr
from keepface.seeds import generator
from keepface.train.identity_loss import IdentityLoss
from keepface.train.loop import Validation
from keepface.train.recipe import BatchSettings, Recipe, history_line

VALIDATION_STEPS = 10
GRID_COLUMNS = 8


class MethodTask:
    """One phase of a method over a family, on packs of faces with identity features."""

    def __init__(self, method: Any, train: Pack, val: Pack, recipe: Recipe) -> None:
        self.method, self.family, self._recipe = method, method.family, recipe
        self._phase = PHASES[method.name].get(recipe.phase, Phase())
        check_batch(recipe.phase, self._phase, recipe.batch)
        self.networks = method.trainable(recipe.phase)
        for network in (self.networks, self.family.vae):
            network.to(memory_format=torch.channels_last)  # a tenth faster on CPUs
        if recipe.loss and not hasattr(method, "picture_loss"):
            raise RecipeError(f"[loss]: method {method.name!r} takes no losses on pictures; leave the table out")
        if recipe.loss:
            method.picture_loss = _picture_loss(self.family, recipe)
        self._sampler = PairSampler(train, recipe.batch.pairs(), self.family.size)
        still = replace(recipe.batch, shift_px=0, flip=0.0, identity_dropout=0.0, own_in_pool=False)
        self._val_sampler = PairSampler(val, still.pairs(), self.family.size)
        self._cleaner = Cleaner.load(self.family) if recipe.batch.clean else None
        if self._cleaner:
            self._cleaner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._photos, self._val_photos = None, None
        if self._phase.has_tokens:
            maker = CropFeatures.load(self.family.device, self.family)
            self._photos = ReferencePhotos(train, maker, recipe.batch.reference_px)
            self._val_photos = ReferencePhotos(val, maker, recipe.batch.reference_px)

    def batch(self, step: int, size: int) -> TrainBatch:
        """Draw the faces, their low forms, references, noise and times of a step."""
        return self._cleaned(assemble(self._sampler, self.family, step, size, self._recipe.run.seed, self._photos))

    def losses(self, batch: TrainBatch) -> dict[str, Tensor]:
        """Return the phase's losses."""
        return dict(self.method.loss(batch, self._recipe.phase))

    def validate(self, items: int) -> Validation:
        """Restore fixed validation squares with and without their references.

        The grid shows truth, low, without, with references; a phase that sees no low picture draws new faces instead,
        one without identity has no last row.
        """
        batch = self._cleaned(assemble(self._val_sampler, self.family, 0, items, 0, self._val_photos))
        references = [_references(batch, i) for i in range(items)]
        losses = self.method.loss(batch, self._recipe.phase)
        loss = float(losses.get("denoising", losses["total"]))
        settings = SamplerSettings(steps=VALIDATION_STEPS, start=DEFAULTS[self.method.name].start)
        seeds, nobody = list(range(items)), [None] * items
        if not self._phase.has_low:
            pictures = [self._decode(self.method.synthesise(who, settings, 1.0, seeds)) for who in (nobody, references)]
            return Validation({"loss": loss}, _grid([batch.clean, *pictures]))
        shown = (nobody, references) if self._phase.has_identity else (nobody,)
        pictures = [self._decode(self.method.restore(batch.low, who, settings, 1.0, seeds)) for who in shown]
        numbers = {"loss": loss, "psnr_low": float(psnr(batch.low, batch.clean).mean())}
        for name, picture in zip(("psnr_without", "psnr_with"), pictures, strict=False):
            numbers[name] = float(psnr(picture, batch.clean).mean())
        return Validation(numbers, _grid([batch.clean, batch.low, *pictures]))

    def export(self, folder: Path) -> None:
        """Write the family with the method's parts, its cleaner, and other methods' if these still fit its UNet."""
        card = self.family.card
        cleaned = set(card.cleaned) - {self.method.name} | ({self.method.name} if self._recipe.batch.clean else set())
        told = replace(card, history=(*card.history, history_line(self._recipe)), cleaned=tuple(sorted(cleaned)))
        replace(self.family, card=told).save_pretrained(folder)
        self.method.save(folder, torch.float16)
        keep_cleaner(self.family.folder, folder)
        changed = {id(parameter) for parameter in self.networks.parameters()}
        if self.family.folder and not any(id(parameter) in changed for parameter in self.family.unet.parameters()):
            for name in METHODS.keys() - {self.method.name}:
                if (self.family.folder / name).is_dir():
                    shutil.copytree(self.family.folder / name, folder / name, dirs_exist_ok=True)

    def _cleaned(self, batch: TrainBatch) -> TrainBatch:
        return replace(batch, low=self._cleaner.clean(batch.low)) if self._cleaner else batch

    def _decode(self, steps: Iterator[Step]) -> Tensor:
        *_, last = steps
        return self.family.decode(last.x_t)


def check_batch(name: str, phase: Phase, batch: BatchSettings) -> None:
    """See that a recipe draws the references that its phase needs.

    Raises:
        RecipeError: it draws other counts of them, or people with too few photos; the text says what to set.
    """
    wanted = {"min_references": phase.references, "max_references": phase.references} if phase.references else {}
    for key, value in wanted.items():
        if getattr(batch, key) != value:
            raise RecipeError(f"[batch]: phase {name!r} needs {key} = {value}; it is {getattr(batch, key)}")
    if batch.min_others < phase.min_others:
        raise RecipeError(f"[batch]: phase {name!r} needs min_others = {phase.min_others}; it is {batch.min_others}")


def assemble(
    sampler: PairSampler, family: Family, step: int, size: int, seed: int, photos: ReferencePhotos | None = None
) -> TrainBatch:
    """Draw the faces, their low forms, references, noise and times of a step, a pure function of (step, size, seed).

    With `photos` the references' features are made of them anew, image tokens among them, instead of the pack's.
    """
    drawn = sampler.batch(step, size, seed)
    rng = generator(seed, "diffusion", step)
    nothing = torch.zeros(*drawn.is_dropped.shape, 1, 0)  # of a pack without features, for phases without identity
    recogniser, image = (drawn.features.get(name, nothing) for name in ("recogniser", "image"))
    tokens = None
    if photos:
        made = photos.features(drawn.plan, step, seed)
        recogniser, tokens = made["recogniser"], made["tokens"]
    return TrainBatch(
        clean=drawn.clean,
        low=drawn.low,
        recogniser=recogniser,
        image=image,
        has_reference=(~drawn.is_dropped)[:, None].expand(recogniser.shape[:2]),
        detail_px=drawn.detail_px.clamp(max=family.size).float(),
        eps=torch.randn((size, *family.latent_shape), generator=rng),
        t=torch.randint(0, family.scheduler.config.num_train_timesteps, (size,), generator=rng),
        tokens=tokens,
    )


def _picture_loss(family: Family, recipe: Recipe) -> IdentityLoss:
    if unknown := sorted(set(recipe.loss) - {"identity"}):
        raise RecipeError(f"[loss]: unknown key {unknown[0]!r}; a method's phase can be asked for: identity")
    return IdentityLoss(family, recipe.loss["identity"])


def _references(batch: TrainBatch, i: int) -> References | None:
    used = batch.has_reference[i]
    if not bool(used.any()):
        return None
    tokens = None if batch.tokens is None else batch.tokens[i][used]
    return References(batch.recogniser[i][used], batch.image[i][used], torch.ones(int(used.sum())), tokens)


def _grid(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat([torch.cat(list(row[:GRID_COLUMNS].float().cpu()), dim=2) for row in rows], dim=1)
