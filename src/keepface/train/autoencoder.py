"""Train a family's autoencoder: it caps everything that is restored through it."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.config import from_dict
from keepface.data.prepare import Pack
from keepface.diffusion import latents
from keepface.diffusion.cleaner import keep_cleaner
from keepface.diffusion.family import Family
from keepface.identity.image_encoder import ImageEncoder
from keepface.image.files import from_uint8
from keepface.methods import METHODS
from keepface.metrics.fidelity import psnr
from keepface.metrics.perceptual import PerceptualDistance
from keepface.seeds import generator, numpy_generator
from keepface.train.loop import Validation
from keepface.train.recipe import Recipe, history_line

SCALE_ITEMS = 512  # pictures that the latent scale is measured on


@dataclass(frozen=True)
class AutoencoderLoss:
    """Weights of the losses.

    latent_noise is the share of the latents' deviation added as noise before decoding, so that the decoder forgives a
    denoiser's small errors; decoder_only keeps the latents as they are for networks that were trained on them.
    """

    l1: float = 1.0
    gradient: float = 0.5
    perceptual: float = 0.0
    latent_power: float = 0.001
    latent_noise: float = 0.03
    decoder_only: float = 0.0


@dataclass(frozen=True, eq=False)
class SquareBatch:
    """Squares (RGB, 0..1), and the noise that their latents get, in units of the latents' deviation."""

    clean: Float[Tensor, "b 3 s s"]
    noise: Float[Tensor, "b c h w"]


class AutoencoderTask:
    """Encode and decode squares so that faces survive it."""

    def __init__(self, family: Family, train: Pack, val: Pack, recipe: Recipe) -> None:
        self.family, self._train, self._val, self._recipe = family, train, val, recipe
        self._weights = from_dict(AutoencoderLoss, recipe.loss, "[loss]")
        vae = family.vae.requires_grad_(False)
        self.networks: nn.Module = vae
        if self._weights.decoder_only:
            self.networks = nn.ModuleDict({"decoder": vae.decoder})  # type: ignore[dict-item]
        self.networks.requires_grad_(True)
        self._perceptual = None
        if self._weights.perceptual:
            self._perceptual = PerceptualDistance(ImageEncoder.load().to(family.device))

    def batch(self, step: int, size: int) -> SquareBatch:
        """Draw squares, shifted and flipped, and their latents' noise, a pure function of (step, size)."""
        rng = numpy_generator(self._recipe.run.seed, "autoencoder", step)
        reach = self._train.margin_px
        squares = [
            from_uint8(
                self._train.square(
                    int(rng.integers(len(self._train))),
                    (int(rng.integers(-reach, reach + 1)), int(rng.integers(-reach, reach + 1))),
                    bool(rng.integers(2)),
                )
            )
            for _ in range(size)
        ]
        shape = (size, *self.family.latent_shape)
        noise = torch.randn(shape, generator=generator(self._recipe.run.seed, "latent-noise", step))
        return SquareBatch(torch.stack(squares), noise)

    def losses(self, batch: SquareBatch) -> dict[str, Tensor]:
        """Return L1, gradient, perceptual and latent losses and their weighted total."""
        weights, scale = self._weights, self.family.card.latent_scale
        device = next(self.networks.parameters()).device
        clean = batch.clean.to(device)
        z = latents.encode(self.family.vae, scale, clean)
        noisy = z + weights.latent_noise * z.detach().std() * batch.noise.to(z)
        mean, std = scale.tensors(noisy)
        decoded = self.family.vae.decode(noisy * std + mean).sample.float() / 2 + 0.5  # type: ignore[operator]
        found = {
            "l1": functional.l1_loss(decoded, clean) * 2,
            "gradient": gradient_loss(decoded, clean) * 2,
            "latent_power": z.float().square().mean(),
        }
        if self._perceptual is not None:
            found["perceptual"] = self._perceptual(decoded, clean).mean()
        total = sum(getattr(weights, name) * value for name, value in found.items())
        return {"total": torch.as_tensor(total), **found}

    def validate(self, items: int) -> Validation:
        """Measure the round trip on validation squares; the grid shows truth over round trip."""
        rows = range(0, len(self._val), max(1, len(self._val) // items))[:items]
        clean = torch.stack([from_uint8(self._val.square(i)) for i in rows])
        with torch.no_grad():
            decoded = self.family.decode(self.family.encode(clean))
        value = sum(psnr(a, b) for a, b in zip(decoded, clean, strict=True)) / len(clean)
        shown = torch.cat([torch.cat(list(rows[:8]), dim=2) for rows in (clean, decoded)], dim=1)
        return Validation({"psnr": float(value)}, shown)

    def export(self, folder: Path) -> None:
        """Write the family; if the latents were kept, with the methods' parts, else with a newly measured scale."""
        family = self.family
        scale = family.card.latent_scale if self._weights.decoder_only else self._measure()
        history = (*family.card.history, history_line(self._recipe))
        replace(family, card=replace(family.card, latent_scale=scale, history=history)).save_pretrained(folder)
        keep_cleaner(family.folder, folder)
        if self._weights.decoder_only and family.folder:
            for name in METHODS:  # what methods learned on these latents still holds
                if (family.folder / name).is_dir():
                    shutil.copytree(family.folder / name, folder / name, dirs_exist_ok=True)

    def _measure(self) -> latents.LatentScale:
        step = max(1, len(self._train) // SCALE_ITEMS)
        found = []
        with torch.no_grad():
            for start in range(0, step * min(SCALE_ITEMS, len(self._train)), step * 32):
                rows = range(start, min(start + step * 32, len(self._train)), step)
                squares = torch.stack([from_uint8(self._train.square(i)) for i in rows])
                found.append(self.family.encode(squares).cpu())
        return latents.measure_scale(torch.cat(found), self.family.card.latent_scale)


def gradient_loss(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the mean distance of horizontal plus that of vertical differences: edges stay where they are."""
    across = functional.l1_loss(a[..., 1:] - a[..., :-1], b[..., 1:] - b[..., :-1])
    down = functional.l1_loss(a[..., 1:, :] - a[..., :-1, :], b[..., 1:, :] - b[..., :-1, :])
    return across + down
