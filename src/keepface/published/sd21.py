"""PFStorer's base on Stable Diffusion 2.1: StableSR's checkpoint, which holds the whole model, as a family.

    Wang et al. 2024, "Exploiting diffusion prior for real-world image super-resolution"  [StableSR]
    Varanka et al. 2024, "PFStorer: Personalized face restoration and super-resolution", CVPR  [PFStorer]

From Stable Diffusion 2.1's own folder come the configs, the schedule and the text encoder that the prompt is made with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from keepface.diffusion.family import Family, FamilyCard
from keepface.diffusion.sft import SFTLayers
from keepface.diffusion.time_aware_encoder import TimeAwareEncoder, TimeAwareSettings
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.published.caption import constant_prompt
from keepface.published.files import conditions
from keepface.published.gather import Sources
from keepface.published.ldm import Table, encoder_table, layout, renamed, sft_table, unet_table, vae_table
from keepface.published.networks import empty_network
from keepface.published.pipeline import latent_scale, published_scheduler, read_config
from keepface.weights.layout import Layout, take
from keepface.weights.pickles import read_pickle

TITLE = "StableSR over Stable Diffusion 2.1"
SCHEDULE = "the schedule, computed anew from the base's scheduler/"
TRAINER = "what the trainer kept beside the weights"
LEFT_OUT = {  # how a published name begins: why it is not used
    "cond_stage_model.": "the text encoder; the base's text_encoder/ is the same",
    "betas": SCHEDULE,
    "alphas_cumprod": SCHEDULE,
    "sqrt_alphas_cumprod": SCHEDULE,
    "sqrt_one_minus_alphas_cumprod": SCHEDULE,
    "log_one_minus_alphas_cumprod": SCHEDULE,
    "sqrt_recip_alphas_cumprod": SCHEDULE,
    "sqrt_recipm1_alphas_cumprod": SCHEDULE,
    "posterior_": SCHEDULE,
    "logvar": "weights of the loss at each time, which sampling does not look at",
    "model_ema.": "a running average; StableSR's configs say use_ema: False, so its own scripts leave it out",
    "callbacks.": TRAINER,
    "optimizer_states.": TRAINER,
    "lr_schedulers.": TRAINER,
    "loops.": TRAINER,
}
INERT = (  # what the trainer names beside the weights: its callback, and numbers of numpy's; never run
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)
STATE = "state_dict."


@dataclass(frozen=True)
class Release:
    """What a published checkpoint predicts, the side of the squares it was trained on, px, and what to know of it.

    steps: of the sampler, unless a call says otherwise; 0 is the card's own number.
    """

    prediction: str
    resolution: int = 512
    caution: str = ""
    steps: int = 0


RELEASES = {  # [StableSR]
    "stablesr_000117.ckpt": Release("epsilon"),
    "stablesr_768v_000139.ckpt": Release("v_prediction", 768),
    "stablesr_turbo.ckpt": Release("epsilon", steps=4),
    "face_stablesr_000050.ckpt": Release(
        "v_prediction",
        caution="made to be drawn towards what CodeFormer makes of the same face, which keepface does not do; alone "
        "its results are bad, as its author says; stablesr_000117.ckpt restores without",
    ),
}


@dataclass(frozen=True)
class Sd21Settings:
    """What may be chosen when the family is made; the defaults are the published sizes.

    resolution: side of the squares, px; 0 is what the checkpoint was trained on.
    """

    encoder: TimeAwareSettings = field(default_factory=TimeAwareSettings)
    sft_hidden: int = 128
    resolution: int = 0


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks that a checkpoint holds; before it is loaded they may be on torch's meta device."""

    unet: Any
    vae: Any
    time_aware: TimeAwareEncoder
    sft: SFTLayers

    def tables(self) -> list[tuple[nn.Module, Table]]:
        """Return each network and where its tensors come from."""
        return [
            (self.unet, unet_table(self.unet)),
            (self.vae, vae_table(self.vae)),
            (self.time_aware, encoder_table(self.time_aware)),
            (self.sft, sft_table(self.sft, self.unet)),
        ]

    def published(self) -> Layout:
        """Return the published names and shapes that the networks need, by their names without the trainer's prefix."""
        shapes = {name: shape for _, table in self.tables() for name, shape in layout(table).items()}
        ignored = [start + name for start in ("", STATE) for name in LEFT_OUT]
        return Layout(TITLE, shapes, renamed=((STATE, ""),), ignored=ignored)


def empty_networks(unet: Mapping[str, Any], vae: Mapping[str, Any], settings: PFStorerSettings) -> Networks:
    """Build the networks of diffusers' configs and the base's settings without memory for their tensors."""
    made = empty_network(UNet2DConditionModel, unet)
    with torch.device("meta"):
        sft = SFTLayers(made, settings.encoder.width, settings.sft_hidden)
        return Networks(made, empty_network(AutoencoderKL, vae), TimeAwareEncoder(settings.encoder), sft)


def load_checkpoint(networks: Networks, tensors: Mapping[str, Tensor], where: str) -> None:
    """Give every network its tensors of a StableSR checkpoint, which they then share memory with.

    Raises:
        WeightsError: a tensor is missing, of another shape, or neither used nor known as left out; nothing is changed.
    """
    taken = take(tensors, networks.published(), where)
    for network, table in networks.tables():
        network.load_state_dict(renamed(table, taken, network), strict=True, assign=True)
        network.eval().requires_grad_(False)


def convert(sources: Sources, out: Path, settings: Sd21Settings) -> None:
    """Write the family that the published files make up into the folder `out`; no person is part of it.

    What the network predicts belongs to the checkpoint, by its file name; an unknown name takes what scheduler/ says.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is damaged, or is not what it should be.
    """
    base, checkpoint = sources.path("base", "unet/config.json").parents[1], sources.path("stablesr")
    unet, vae, plan = (read_config(base / part) for part in ("unet", "vae", "scheduler"))
    release = RELEASES.get(checkpoint.name, Release(str(plan.get("prediction_type", "epsilon"))))
    method = PFStorerSettings(encoder=settings.encoder, sft_hidden=settings.sft_hidden)
    networks = empty_networks(unet, vae, method)
    load_checkpoint(networks, read_pickle(checkpoint, INERT), str(checkpoint))
    family = Family(
        card=FamilyCard(
            name="sd21",
            resolution=settings.resolution or release.resolution,
            latent_scale=latent_scale(vae),
            steps=release.steps or FamilyCard.steps,
            licence="non-commercial (StableSR)",
            trained_on=("LAION-5B, filtered (the base)", "DIV2K, DIV8K, Flickr2K, OST and FFHQ (StableSR)"),
            terms=conditions("sd21"),
            history=(
                f"converted from {checkpoint.name}; prompts padded with id 0",
                *([f"{checkpoint.name}: {release.caution}"] if release.caution else []),
            ),
        ),
        unet=networks.unet,
        vae=networks.vae,
        scheduler=published_scheduler(plan, release.prediction),
        prompt=constant_prompt(base, sources.path("base", "text_encoder/model.fp16.safetensors"), "zero"),
    ).to(torch.device("cpu"), torch.float32)
    family.save_pretrained(out)
    PFStorer(family, networks.time_aware, networks.sft, method).save(out)
