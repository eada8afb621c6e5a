"""RIDFR on Stable Diffusion 1.5: the base, IP-Adapter-FaceID-Plus and the networks that lead it, as a family.

    Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]
    Ye et al. 2023, "IP-Adapter: text compatible image prompt adapter for text-to-image diffusion models"  [IP-Adapter]

RIDFR's content module is not published. It is trained over the base alone (`base_alone`, the family sd15-base), whose
UNet has no LoRA yet; `content` then takes it into the family that has the identity. [RIDFR, Sec. 3.3]
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from keepface.diffusion.content_injection import ContentInjection
from keepface.diffusion.faceid_plus import AdapterSettings
from keepface.diffusion.family import IMAGE_ENCODER, RECOGNISER, Family, FamilyCard, load_network
from keepface.errors import WeightsError
from keepface.identity.clip import MEAN, ClipVision, empty_tower, tower_layout, write_tower
from keepface.methods.ridfr import CONTENT, RIDFR, RIDFRSettings
from keepface.published.caption import constant_prompt
from keepface.published.files import conditions
from keepface.published.gather import Sources
from keepface.published.networks import empty_network, fill, renamed_attention
from keepface.published.pipeline import latent_scale, published_scheduler, read_config
from keepface.published.recogniser import copy_recogniser
from keepface.weights.layout import take
from keepface.weights.pickles import read_pickle
from keepface.weights.store import read_safetensors

PACK, TOWER = "buffalo_l", "clip-h"  # the networks that lead the model
SECOND_VERSION = "plusv2"  # in the name of an adapter that adds its query to what it drew
CLIP_TEXT = ("text_model.", "text_projection.", "logit_scale")  # of CLIP as a whole: not part of its image tower


@dataclass(frozen=True)
class BaseSettings:
    """What may be chosen when the base alone is made a family."""

    resolution: int = 512


@dataclass(frozen=True)
class Sd15Settings:
    """What may be chosen when the family is made; the defaults are the published sizes.

    content: folder of a family whose content module was trained; empty leaves the family without one.
    identity: sizes of the adapter; whether it has the shortcut its file name says.
    """

    content: str = ""
    resolution: int = 512
    identity: AdapterSettings = field(default_factory=AdapterSettings)


def convert_base(sources: Sources, out: Path, settings: BaseSettings) -> None:
    """Write Stable Diffusion 1.5 alone as a family, for trainings that begin with it.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is damaged, or is not what it should be.
    """
    base_alone(sources, settings.resolution).save_pretrained(out)


def convert(sources: Sources, out: Path, settings: Sd15Settings) -> None:
    """Write the family that the published files make up into the folder `out`.

    The adapter's LoRA is added to the UNet, which then belongs to RIDFR alone.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is damaged, or is not what it should be.
    """
    file = sources.path("faceid")
    copy_recogniser(PACK, sources.path(PACK), out / RECOGNISER, settings.identity.recogniser_dim)
    blank = _write_image_network(sources, out / IMAGE_ENCODER)
    family = base_alone(sources, settings.resolution)
    family.card = replace(
        family.card,
        name="sd15",
        recogniser=PACK,
        image_encoder=TOWER,
        licence="non-commercial research (IP-Adapter-FaceID, insightface)",
        trained_on=(*family.card.trained_on, "the adapter's, insightface's and LAION's own data"),
        terms=conditions("sd15"),
        history=(*family.card.history, f"identity converted from {file.name}"),
    )
    identity = replace(settings.identity, shortcut=SECOND_VERSION in file.name)
    content = trained_content(settings.content, family.unet) if settings.content else None
    low: Literal["pixel", "latent"] = "latent" if content and _sees_latents(content, family.unet) else "pixel"
    method = RIDFR.begin(family, RIDFRSettings(content=low, identity=identity), seed=0)
    if content is not None:
        method.content, method.has_content = content, True
    method.load_published(read_pickle(file), str(file), blank)
    family.save_pretrained(out)
    method.save(out)


def trained_content(folder: str, unet: Any) -> ContentInjection:
    """Load the content module of another family for a UNet.

    Raises:
        WeightsError: there is none, or it is for a UNet of another shape.
    """
    path = Path(folder).expanduser() / RIDFR.name / CONTENT
    if not path.is_dir():
        raise WeightsError(
            f"{path}: there is no content module; give the folder `family` of a run of recipes/sd15/ridfr-content.toml"
        )
    content: ContentInjection = load_network(ContentInjection, path, torch.float32)
    for key in ("block_out_channels", "cross_attention_dim"):
        if content.config[key] != unet.config[key]:
            raise WeightsError(f"{path}: its {key} is {content.config[key]}, the base's {unet.config[key]}")
    return content


def base_alone(sources: Sources, resolution: int) -> Family:
    """Read Stable Diffusion 1.5 as a family in float32, its prompt the empty caption.

    Raises:
        WeightsError: a file is damaged, or is not what it should be.
    """
    folder = sources.path("base", "unet/config.json").parents[1]
    plan, vae_config = read_config(folder / "scheduler"), read_config(folder / "vae")
    networks = {}
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        path = sources.path("base", f"{part}/diffusion_pytorch_model.fp16.safetensors")
        tensors = renamed_attention(read_safetensors(path)) if part == "vae" else read_safetensors(path)
        networks[part] = fill(empty_network(kind, read_config(folder / part)), tensors, str(path), torch.float32)
    return Family(
        card=FamilyCard(
            name="sd15-base",
            resolution=resolution,
            latent_scale=latent_scale(vae_config),
            licence="CreativeML Open RAIL-M",
            trained_on=("LAION-2B-en and its aesthetic part (the base)",),
            terms=conditions("sd15-base"),
            history=("converted from Stable Diffusion 1.5",),
        ),
        unet=networks["unet"],
        vae=networks["vae"],
        scheduler=published_scheduler(plan, str(plan.get("prediction_type", "epsilon"))),
        prompt=constant_prompt(folder, sources.path("base", "text_encoder/model.fp16.safetensors"), "end"),
    ).to(torch.device("cpu"), torch.float32)


def image_tower(tensors: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """Take CLIP's image tower out of its file, which may hold the text tower too, strictly.

    Raises:
        WeightsError: tensors are missing, unknown, or of another shape.
    """
    layout = tower_layout(empty_tower(config))
    return take(tensors, layout.read(ignored=(*layout.ignored, *CLIP_TEXT)), where)


def tower_config(folder: Path) -> dict[str, Any]:
    """Read the image tower's config from CLIP's whole one, or from one of the tower alone.

    How wide the projection is, CLIP's own level says: below `vision_config` many published files keep a default, 512,
    that the whole model never looks at.

    Raises:
        WeightsError: it is missing or damaged.
    """
    whole = read_config(folder)
    tower = dict(whole.get("vision_config") or whole)
    if "projection_dim" in whole:
        tower["projection_dim"] = whole["projection_dim"]
    return tower


def _sees_latents(content: ContentInjection, unet: Any) -> bool:
    return bool(content.config["in_channels"] == 2 * unet.config["in_channels"])


def _write_image_network(sources: Sources, folder: Path) -> Tensor:
    """Write the image tower, and return its tokens of an empty picture: zeros where pixels are normalised."""
    weights = sources.path("clip-h", "model.safetensors")
    config = tower_config(sources.path("clip-h", "config.json").parent)
    write_tower(image_tower(read_safetensors(weights), config, str(weights)), config, folder)
    side = int(config.get("image_size", 224))
    empty = torch.tensor(MEAN).view(1, 3, 1, 1).expand(1, 3, side, side)
    return ClipVision(TOWER, folder).tokens(empty)[0]
