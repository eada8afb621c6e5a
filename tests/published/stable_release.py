"""Tiny releases in the published layouts of SD 1.5 and SD 2.1, drawn at random: what a user's download folder holds."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from keepface.weights.store import write_safetensors

from . import ldm_layout, stable_layout
from .ldm_layout import Sizes, drawn
from .sdxl_release import _vocabulary, _write_tokenizer, write_recogniser

SIZE = 64  # px of the family's square; a latent of 8 x 8
CONTEXT, VECTOR, RANK = 32, 16, 3
SIZES = Sizes(
    width=32,
    mult=(1, 2, 2, 2),
    context=CONTEXT,
    maps=64,
    maps_mult=(1, 1, 2, 2),
    hidden=8,
    vae_width=32,
    vae_mult=(1, 1, 2, 2),
)
UNET: dict[str, Any] = {"block_out_channels": [32, 64, 64, 64], "cross_attention_dim": CONTEXT, "sample_size": 8}
SD15: dict[str, Any] = stable_layout.SD15 | UNET | {"attention_head_dim": 2}
SD21: dict[str, Any] = stable_layout.SD21 | UNET | {"attention_head_dim": [1, 2, 2, 2]}
VAE: dict[str, Any] = stable_layout.VAE | {"block_out_channels": [32, 32, 64, 64]}
TOWER: dict[str, Any] = stable_layout.CLIP_H | {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 56,
    "projection_dim": 12,
}
WIDTHS = [32] * 2 + [64] * 13 + [64]  # of the transformers; those of the last level up are narrower
WIDTHS[12:15] = [32] * 3
SCHEDULER = {  # as published with Stable Diffusion 1.5 and 2.1
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}


def write_sd21(folder: Path, checkpoint: str = "stablesr_000117.ckpt") -> Path:
    """Write stable-diffusion-2-1-base/ without its networks, and StableSR/ with a trainer's checkpoint of them all."""
    base = folder / "stable-diffusion-2-1-base"
    for part, config in (("unet", SD21), ("vae", VAE), ("scheduler", SCHEDULER)):
        _write_config(base / part, config)
    _write_text(base)
    (folder / "StableSR").mkdir(parents=True)
    torch.save(
        {"state_dict": stablesr(), "global_step": 117, "callbacks": {"best": torch.tensor(0.5)}, "epoch": 3},
        folder / "StableSR" / checkpoint,
    )
    return folder


def stablesr() -> dict[str, Tensor]:
    """Draw a checkpoint's tensors."""
    return drawn(ldm_layout.checkpoint(SIZES))


def write_sd15(folder: Path, adapter: str = "ip-adapter-faceid-plusv2_sd15.bin") -> Path:
    """Write stable-diffusion-v1-5/, IP-Adapter-FaceID/, CLIP-ViT-H-14-laion2B-s32B-b79K/ and buffalo_l/."""
    base = folder / "stable-diffusion-v1-5"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for part, config, network in (
            ("unet", SD15, UNet2DConditionModel.from_config(SD15)),
            ("vae", VAE, AutoencoderKL.from_config(VAE)),
        ):
            _write_config(base / part, config)
            tensors = network.state_dict() if part == "unet" else older_attention(network.state_dict())
            write_safetensors(tensors, base / part / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    _write_config(base / "scheduler", SCHEDULER)
    _write_text(base)
    (folder / "IP-Adapter-FaceID").mkdir()
    torch.save(faceid_plus(), folder / "IP-Adapter-FaceID" / adapter)
    tower = folder / "CLIP-ViT-H-14-laion2B-s32B-b79K"
    # Below vision_config the published file keeps transformers' default, which is not the tower's.
    whole = {"projection_dim": TOWER["projection_dim"], "vision_config": TOWER | {"projection_dim": 512}}
    _write_config(tower, whole)
    tensors = drawn(stable_layout.clip(TOWER))
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    write_safetensors(tensors, tower / "model.safetensors", {"format": "pt"})
    write_recogniser(folder / "buffalo_l" / "w600k_r50.onnx", VECTOR)
    return folder


def faceid_plus() -> dict[str, dict[str, Tensor]]:
    """Draw an adapter's file, nested as published."""
    shapes = stable_layout.faceid_plus(WIDTHS, CONTEXT, TOWER["hidden_size"], VECTOR, depth=2, rank=RANK)
    nested: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in drawn(shapes).items():
        head, _, rest = name.partition(".")
        nested[head][rest] = tensor
    return nested


def older_attention(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name an autoencoder's attention as the published files of Stable Diffusion 1.5 do."""
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    found = {}
    for name, tensor in state.items():
        for now, older in names.items():
            name = name.replace(f"attentions.0.{now}.", f"attentions.0.{older}.")
        found[name] = tensor
    return found


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = "scheduler_config.json" if folder.name == "scheduler" else "config.json"
    (folder / file).write_text(json.dumps(config))


def _write_text(base: Path) -> None:
    vocabulary = _vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=CONTEXT,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    _write_config(base / "text_encoder", config.to_dict())
    rng, tensors = torch.Generator().manual_seed(7), {}
    for name, tensor in CLIPTextModel(config).state_dict().items():
        published = name if name.startswith("text_model.") else f"text_model.{name}"
        tensors[published] = 0.5 * torch.randn(tensor.shape, generator=rng)
    write_safetensors(tensors, base / "text_encoder" / "model.safetensors", {"format": "pt"})
    _write_tokenizer(base / "tokenizer", vocabulary)
