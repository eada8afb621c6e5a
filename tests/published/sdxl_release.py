"""A tiny release in the published layout of FaceMe on SDXL, drawn at random: what a user's download folder holds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from keepface.identity.clip import empty_tower
from keepface.methods.faceme import FaceMeSettings, Mix
from keepface.seeds import generator
from keepface.weights.store import write_safetensors

SIZE = 64  # px of the family's square; a latent of 8 x 8
WIDTHS, POOLED = (24, 40), 40  # of the two text encoders, side by side the prompt's 64; of the pooled vector
RECOGNISER_DIM, IMAGE_DIM = 16, 64
WORDS = ("a", "photo", "of", "face", ".")
END, START = "<|endoftext|>", "<|startoftext|>"
TOWER = {
    "hidden_size": IMAGE_DIM,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "patch_size": 56,
    "image_size": 224,
    "projection_dim": WIDTHS[0],
    "hidden_act": "quick_gelu",
}
MIX = FaceMeSettings(RECOGNISER_DIM, IMAGE_DIM, sum(WIDTHS), 32, WIDTHS, (8, 8, 8, 8))
UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2),
    "cross_attention_dim": sum(WIDTHS),
    "attention_head_dim": (2, 4),
    "norm_num_groups": 8,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": POOLED + 6 * 8,
}
VAE: dict[str, Any] = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def write_release(folder: Path) -> Path:
    """Write RealVisXL_V3.0/, FaceMe/, PhotoMaker/ and antelopev2/ below a folder, as their publishers lay them out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = folder / "RealVisXL_V3.0"
        unet, vae = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE)
        _save(unet, base / "unet")
        _save(vae, base / "vae")
        _write_text_encoders(base)
        (base / "scheduler").mkdir()
        (base / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
        controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=MIX.control_channels)
        _open(controlnet)
        _save(controlnet, folder / "FaceMe" / "controlnet")
        (folder / "FaceMe" / "mix").mkdir()
        write_safetensors(Mix(MIX).state_dict(), folder / "FaceMe" / "mix" / "mix.safetensors", {})
        (folder / "PhotoMaker").mkdir()
        torch.save(photomaker(unet), folder / "PhotoMaker" / "photomaker-v1.bin")
    write_recogniser(folder / "antelopev2" / "glintr100.onnx", RECOGNISER_DIM)
    return folder


def photomaker(unet: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Draw a file of PhotoMaker's: image tower, both projections, its fusing part and a LoRA of the UNet."""
    shapes = {name: tensor.shape for name, tensor in empty_tower(TOWER).state_dict().items()}
    shapes |= {"visual_projection_2.weight": (WIDTHS[1], IMAGE_DIM), "fuse_module.mlp1.fc1.weight": (4, 4)}
    lora: dict[str, Tensor] = {}
    for name, tensor in unet.state_dict().items():
        for end, published in (("to_q", "to_q"), ("to_k", "to_k"), ("to_v", "to_v"), ("to_out.0", "to_out")):
            if name.endswith(f".{end}.weight") and ".attn" in name:
                stem = f"unet.{name.removesuffix(f'.{end}.weight')}.processor.{published}_lora"
                lora[f"{stem}.down.weight"] = torch.randn(2, tensor.shape[1])
                lora[f"{stem}.up.weight"] = torch.randn(tensor.shape[0], 2)
    return {"id_encoder": {name: 0.2 * torch.randn(shape) for name, shape in shapes.items()}, "lora_weights": lora}


def write_recogniser(path: Path, dim: int) -> None:
    """Write a recogniser in ONNX with the input and output of insightface's: 3 x 112 x 112 in, one vector out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    weights = {
        "conv": rng.normal(size=(4, 3, 16, 16)).astype(np.float32) / 16,
        "fc": rng.normal(size=(dim, 4 * 7 * 7)).astype(np.float32) / 8,
    }
    nodes = [
        helper.make_node("Conv", ["input.1", "conv"], ["maps"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Relu", ["maps"], ["kept"]),
        helper.make_node("Flatten", ["kept"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "fc"], ["1333"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["None", 3, 112, 112])],
        [helper.make_tensor_value_info("1333", TensorProto.FLOAT, [1, dim])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)]), str(path))


def _write_text_encoders(base: Path) -> None:
    vocabulary = _vocabulary()
    for suffix, width, kind in (("", WIDTHS[0], CLIPTextModel), ("_2", WIDTHS[1], CLIPTextModelWithProjection)):
        config = CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            projection_dim=POOLED,
            bos_token_id=0,
            eos_token_id=2,  # as published: the pooled place is that of the largest id
        )
        folder = base / f"text_encoder{suffix}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
        start = "text_model."  # as published, whatever the classes call their parts
        tensors = {
            name if name.startswith((start, "text_projection")) else start + name: 0.5 * torch.randn(tensor.shape)
            for name, tensor in kind(config).state_dict().items()
        }
        tensors[f"{start}embeddings.position_ids"] = torch.arange(77)[None]
        write_safetensors(tensors, folder / "model.fp16.safetensors", {"format": "pt"})
        _write_tokenizer(base / f"tokenizer{suffix}", vocabulary)


def _vocabulary() -> dict[str, int]:
    """Number letters, letters at a word's end, the caption's words and both marks; the end mark has the largest id."""
    letters = sorted(set("".join(WORDS)))
    words = [word + "</w>" for word in WORDS if len(word) > 1]
    parts = ["!", *letters, *(letter + "</w>" for letter in letters)]
    return {part: number for number, part in enumerate([*parts, *_merged(), *words, START, END])}


def _merged() -> list[str]:
    """List what merging leaves between letters and words."""
    return [word[:length] for word in WORDS for length in range(2, len(word))]


def _write_tokenizer(folder: Path, vocabulary: dict[str, int]) -> None:
    folder.mkdir()
    merges = ["#version: 0.2"]
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        merges += [f"{word[:at]} {pieces[at]}" for at in range(1, len(word))]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    told = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"model_max_length": 77}))


def _save(network: Any, folder: Path) -> None:
    network.save_pretrained(folder, safe_serialization=True)
    if "FaceMe" not in str(folder):
        (folder / "diffusion_pytorch_model.safetensors").rename(folder / "diffusion_pytorch_model.fp16.safetensors")


def _open(controlnet: Any) -> None:
    """Give the layers that start at zero some weight, as training would."""
    rng = generator(0, "opened")
    layers = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
    for layer in [*layers, controlnet.controlnet_cond_embedding.conv_out]:
        layer.weight.data.copy_(0.3 * torch.randn(layer.weight.shape, generator=rng))
