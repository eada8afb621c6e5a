"""A family that starts from nothing: every network built from a recipe's sizes, with seeded weights."""

from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from keepface.config import from_dict
from keepface.diffusion import latents
from keepface.diffusion.family import AUTOENCODERS, Family, FamilyCard
from keepface.diffusion.latents import LatentScale
from keepface.diffusion.prompt import Prompt
from keepface.errors import RecipeError
from keepface.seeds import derive

# Stable Diffusion's schedule; v-prediction learns the large structures of small latents in fewer steps than eps.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "timestep_spacing": "trailing",
}


@dataclass(frozen=True)
class FreshFamilySettings:
    """Sizes of a family that starts from nothing; `vae` and `unet` are diffusers' own config keys."""

    name: str
    resolution: int
    vae_class: str
    vae: dict[str, Any]
    unet: dict[str, Any]
    prompt_length: int = 16
    pooled: int = 64
    prediction_type: str = "v_prediction"
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    terms: str = ""
    scheduler: dict[str, Any] = field(default_factory=lambda: dict(SCHEDULER))


def fresh_family(table: dict[str, Any], seed: int) -> Family:
    """Build the family that a recipe's [family] table describes.

    Raises:
        RecipeError: unknown keys, an unknown autoencoder class, or sizes that diffusers refuses.
    """
    settings = from_dict(FreshFamilySettings, table, "[family]")
    if settings.vae_class not in AUTOENCODERS:
        raise RecipeError(f"[family]: vae_class {settings.vae_class!r} is not one of {', '.join(AUTOENCODERS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "family"))
        try:
            vae = getattr(diffusers, settings.vae_class)(**settings.vae)
            unet = UNet2DConditionModel(**settings.unet)
        except (TypeError, ValueError, AssertionError) as error:
            raise RecipeError(f"[family]: diffusers refuses these sizes: {error}") from None
    _check_latents(vae, unet, settings.resolution)
    channels = unet.config.in_channels
    card = FamilyCard(
        name=settings.name,
        resolution=settings.resolution,
        latent_scale=LatentScale((0.0,) * channels, (1.0,) * channels),
        licence=settings.licence,
        trained_on=settings.trained_on,
        terms=settings.terms,
    )
    scheduler = DDPMScheduler(**settings.scheduler, prediction_type=settings.prediction_type)
    draw = torch.Generator().manual_seed(derive(seed, "prompt"))
    width = unet.config.cross_attention_dim
    prompt = Prompt.learned(settings.prompt_length, width, settings.pooled, draw)
    return Family(card, unet, vae, scheduler, prompt).to(torch.device("cpu"), torch.float32)


@torch.no_grad()
def _check_latents(vae: Any, unet: UNet2DConditionModel, side: int) -> None:
    try:
        channels = latents.encode(vae, LatentScale((0.0,), (1.0,)), torch.zeros(1, 3, side, side)).shape[1]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"[family]: the autoencoder takes no squares of {side} px: {reason}") from None
    wanted = unet.config.in_channels
    if channels != wanted:
        raise RecipeError(f"[family]: the autoencoder's latents have {channels} channels; unet.in_channels is {wanted}")
