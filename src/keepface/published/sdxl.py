"""FaceMe on SDXL: the released ControlNet and identity mixer, PhotoMaker's image network and an SDXL base, as a family.

    Liu et al. 2025, "FaceMe: Robust blind face restoration with personal identification", AAAI  [FaceMe]
    Li et al. 2024, "PhotoMaker: Customizing realistic human photos via stacked ID embedding", CVPR  [PhotoMaker]

What the release does otherwise than one would think stands in the family's card, as its quirks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from torch import Tensor

from keepface.diffusion.family import IMAGE_ENCODER, RECOGNISER, Family, FamilyCard, Quirks
from keepface.errors import WeightsError
from keepface.identity.clip import empty_tower, tower_layout, write_tower
from keepface.methods.faceme import FaceMe, FaceMeSettings, IDEncoder, Mix
from keepface.published.dual_caption import dual_prompt
from keepface.published.files import conditions
from keepface.published.gather import Sources
from keepface.published.networks import empty_network, fill, renamed_attention
from keepface.published.pipeline import latent_scale, read_config
from keepface.published.recogniser import copy_recogniser
from keepface.published.token_row import CAPTION
from keepface.seeds import derive
from keepface.weights.layout import Layout, check_layout, take
from keepface.weights.pickles import read_pickle
from keepface.weights.store import read_safetensors

PACK, TOWER = "antelopev2", "photomaker-clip"  # the networks that lead the model
ENCODER, LORA = "id_encoder.", "lora_weights.unet."  # the parts of photomaker-v1.bin
SECOND = "visual_projection_2.weight"  # to the second text encoder's space; the first's is the tower's own
LEFT_OUT = (f"{ENCODER}fuse_module.", "lora_weights.", f"{ENCODER}vision_model.embeddings.position_ids")
HEAD_WIDTH = 64  # of the tower's attention; its file does not say
LORA_ENDS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}


@dataclass(frozen=True)
class SdxlSettings:
    """What may be chosen when the family is made; the defaults are what the released weights were trained with.

    caption: the constant prompt, in which the word *face* stands once.
    guidance: where a call leaves it open.
    fresh_mixer: the mixer begins from nothing, for a stage I of one's own; the family restores nobody before that.
    The others are the `Quirks` of the same name; other values are for weights that were trained so.
    """

    caption: str = CAPTION
    resolution: int = 512
    guidance: float = 5.0
    fresh_mixer: bool = False
    swaps_channels: bool = True
    control_range: Literal["signed", "unit"] = "signed"
    square_ids: bool = True
    photomaker_lora: bool = False


def convert(sources: Sources, out: Path, settings: SdxlSettings) -> None:
    """Write the family that the published files make up into the folder `out`.

    Both text encoders are used once, for the prompt's vectors; the family holds neither.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is damaged, or is not what it should be.
    """
    photomaker, mix = sources.path("photomaker"), sources.path("faceme", "mix/mix.safetensors")
    published = read_pickle(photomaker)
    tower, config = image_tower(published, str(photomaker))
    encoder = id_encoder(tower, read_safetensors(mix), str(mix))
    controlnet = _controlnet(sources)
    channels = tuple(controlnet.config.conditioning_embedding_out_channels)
    encoder.settings = replace(encoder.settings, control_channels=channels)
    family = _base(sources, settings, published if settings.photomaker_lora else {})
    family.save_pretrained(out)
    if settings.fresh_mixer:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(0, "mixer"))
            encoder.mix = Mix(encoder.settings)
    method = FaceMe(family, controlnet, encoder)
    method.has_trained_control = not settings.fresh_mixer  # the released ControlNet knows the released mixer's tokens
    method.save(out)
    del tower[SECOND]
    write_tower(tower, config, out / IMAGE_ENCODER)
    copy_recogniser(PACK, sources.path(PACK), out / RECOGNISER, encoder.settings.recogniser_dim)


def image_tower(published: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take PhotoMaker's image tower with both projections out of its file, strictly, and infer the tower's config.

    PhotoMaker's own fusing part and its LoRA are left out.

    Raises:
        WeightsError: tensors are missing, unknown, or of another shape.
    """
    config = tower_config(published)
    tower = tower_layout(empty_tower(config))
    width = _side(published, f"{ENCODER}{SECOND}", 0, 1280)
    shapes = {**tower.shapes, SECOND: (width, config["hidden_size"])}
    layout = Layout("PhotoMaker's image network", shapes, ((ENCODER, ""),), LEFT_OUT)
    return take(published, layout, where), config


def tower_config(published: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the config of PhotoMaker's tower from its shapes; what is missing is as in CLIP ViT-L/14."""
    start = f"{ENCODER}vision_model."
    hidden = _side(published, f"{start}embeddings.class_embedding", 0, 1024)
    patch = _side(published, f"{start}embeddings.patch_embedding.weight", 3, 14)
    places = _side(published, f"{start}embeddings.position_embedding.weight", 0, 257)
    layers = {name.split(".")[4] for name in published if name.startswith(f"{start}encoder.layers.")}
    return {
        "hidden_size": hidden,
        "intermediate_size": _side(published, f"{start}encoder.layers.0.mlp.fc1.weight", 0, 4096),
        "num_hidden_layers": len(layers) or 24,
        "num_attention_heads": max(1, hidden // HEAD_WIDTH),
        "patch_size": patch,
        "image_size": patch * round((places - 1) ** 0.5),
        "projection_dim": _side(published, f"{ENCODER}visual_projection.weight", 0, 768),
        "hidden_act": "quick_gelu",
    }


def mix_settings(tower: Mapping[str, Tensor], mix: Mapping[str, Tensor]) -> FaceMeSettings:
    """Infer the identity encoder's sizes from its tensors' shapes; what is missing is as published."""
    first = tower["visual_projection.weight"]
    width = _side(mix, "norm1.weight", 0, 2048)
    return FaceMeSettings(
        recogniser_dim=_side(mix, "pro_id.mlp1.layernorm.weight", 0, 512),
        image_dim=first.shape[1],
        width=width,
        hidden=_side(mix, "pro_id.mlp1.fc1.weight", 0, 1024),
        projections=(first.shape[0], width - first.shape[0]),
        trains_projections=False,
    )


def id_encoder(tower: Mapping[str, Tensor], mix: Mapping[str, Tensor], where: str) -> IDEncoder:
    """Make the identity encoder of PhotoMaker's two projections and the released mixer's 38 tensors, strictly.

    Raises:
        WeightsError: the mixer's tensors are missing, unknown, or of another shape, or the projections don't fit.
    """
    settings = mix_settings(tower, mix)
    with torch.device("meta"):
        encoder = IDEncoder(settings)
    check_layout(mix, Layout.of(encoder.mix, Mix.__name__), where)
    tensors = {f"mix.{name}": tensor.float() for name, tensor in mix.items()}
    for number, name in enumerate(("visual_projection.weight", SECOND)):
        tensors[f"projections.{number}.weight"] = tower[name].float()
    check_layout(tensors, Layout.of(encoder), f"{where} with PhotoMaker's projections")
    encoder.load_state_dict(tensors, strict=True, assign=True)
    return encoder.eval().requires_grad_(False)


def published_scheduler(config: Mapping[str, Any]) -> DDPMScheduler:
    """Make the schedule of a base's scheduler/, its sampled times as the base has them.

    Predictions are never clipped, which diffusers' DDPM would do by default and which destroys latents.
    """
    known = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
    spacing = {
        "timestep_spacing": config.get("timestep_spacing", "leading"),
        "steps_offset": config.get("steps_offset", 1),
    }
    return DDPMScheduler(**{key: config[key] for key in known if key in config}, **spacing, clip_sample=False)


def with_lora(unet: Mapping[str, Tensor], published: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Add PhotoMaker's LoRA to a UNet's attention: W + up down. [PhotoMaker]

    Raises:
        WeightsError: there is none, or a part of it fits no tensor of the UNet.
    """
    parts = {name.removeprefix(LORA): tensor for name, tensor in published.items() if name.startswith(LORA)}
    changed = dict(unet)
    for name in [name for name in parts if name.endswith("_lora.down.weight")]:
        stem = name.removesuffix("_lora.down.weight")  # such as ....attn1.processor.to_q
        block, _, end = stem.rpartition(".processor.")
        target, up = f"{block}.{LORA_ENDS.get(end, end)}.weight", parts.pop(f"{stem}_lora.up.weight", None)
        down = parts.pop(name)
        if up is None or target not in unet or unet[target].shape != (up.shape[0], down.shape[1]):
            raise WeightsError(f"{where}: PhotoMaker's LoRA {stem} fits no tensor of this UNet")
        changed[target] = (unet[target].float() + up.float() @ down.float()).to(unet[target].dtype)
    if parts or len(changed) != len(unet) or all(changed[name] is unet[name] for name in unet):
        raise WeightsError(f"{where}: holds no LoRA for this UNet, or more than one; leave photomaker_lora out")
    return changed


def _base(sources: Sources, settings: SdxlSettings, lora: Mapping[str, Tensor]) -> Family:
    folder = sources.path("base", "unet/config.json").parents[1]
    scheduler, vae_config = published_scheduler(read_config(folder / "scheduler")), read_config(folder / "vae")
    encoders = [sources.path("base", f"text_encoder{suffix}/model.fp16.safetensors") for suffix in ("", "_2")]
    prompt = dual_prompt(folder, (encoders[0], encoders[1]), settings.caption)
    paths = {part: sources.path("base", f"{part}/diffusion_pytorch_model.fp16.safetensors") for part in ("unet", "vae")}
    vae = empty_network(AutoencoderKL, vae_config)
    fill(vae, renamed_attention(read_safetensors(paths["vae"])), str(paths["vae"]))
    unet, tensors = empty_network(UNet2DConditionModel, read_config(folder / "unet")), read_safetensors(paths["unet"])
    fill(unet, with_lora(tensors, lora, "photomaker") if lora else tensors, str(paths["unet"]))
    card = FamilyCard(
        name="sdxl",
        resolution=settings.resolution,
        latent_scale=latent_scale(vae_config),
        recogniser=PACK,
        image_encoder=TOWER,
        guidance=settings.guidance,
        licence="non-commercial research (FaceMe, insightface)",
        trained_on=("FFHQ and FFHQRef (ControlNet and mixer)", "the base's, PhotoMaker's and insightface's own data"),
        terms=conditions("sdxl"),
        history=(f"converted from published weights; caption {settings.caption!r}",),
        quirks=Quirks(settings.swaps_channels, settings.control_range, settings.square_ids, settings.photomaker_lora),
    )
    return Family(card, unet, vae, scheduler, prompt)


def _controlnet(sources: Sources) -> Any:
    config = sources.path("faceme", "controlnet/config.json")
    weights = sources.path("faceme", "controlnet/diffusion_pytorch_model.safetensors")
    return fill(empty_network(ControlNetModel, read_config(config.parent)), read_safetensors(weights), str(weights))


def _side(tensors: Mapping[str, Tensor], name: str, axis: int, published: int) -> int:
    """Return one side of a tensor; the published one where it is missing, which the check of the layout then says."""
    tensor = tensors.get(name)
    return published if tensor is None or tensor.dim() <= axis else int(tensor.shape[axis])
