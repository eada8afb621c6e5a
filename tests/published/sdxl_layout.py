"""The released files of FaceMe on SDXL written down from their descriptions: names and shapes, apart from our code."""

from typing import Any

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

UNET: dict[str, Any] = {  # what unet/config.json of an SDXL base says
    "act_fn": "silu",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "in_channels": 4,
    "layers_per_block": 2,
    "out_channels": 4,
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {  # what vae/config.json says
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.13025,
}
CONTROLNET = {
    **{key: value for key, value in UNET.items() if key not in ("out_channels", "sample_size", "up_block_types")},
    "conditioning_channels": 3,
    "conditioning_embedding_out_channels": [16, 32, 96, 256],
}


def mix() -> Shapes:
    """Return the 38 tensors of mix.safetensors."""
    blocks = {  # in, hidden, out
        "pro_id.mlp1": (512, 1024, 1024),
        "pro_id.mlp2": (1024, 1024, 1024),
        "pro_id.mlp3": (1024, 2048, 2048),
        "pro_id.mlp4": (2048, 2048, 2048),
        "mlp1": (4096, 2048, 2048),
        "mlp2": (2048, 2048, 2048),
    }
    shapes: Shapes = {"norm1.weight": (2048,), "norm1.bias": (2048,)}
    for name, (width, hidden, out) in blocks.items():
        shapes |= {f"{name}.layernorm.weight": (width,), f"{name}.layernorm.bias": (width,)}
        shapes |= {f"{name}.fc1.weight": (hidden, width), f"{name}.fc1.bias": (hidden,)}
        shapes |= {f"{name}.fc2.weight": (out, hidden), f"{name}.fc2.bias": (out,)}
    return shapes


def photomaker() -> Shapes:
    """Return the `id_encoder` of photomaker-v1.bin: CLIP ViT-L/14, two projections, and the part that fuses."""
    shapes: Shapes = {
        "vision_model.embeddings.class_embedding": (1024,),
        "vision_model.embeddings.patch_embedding.weight": (1024, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (257, 1024),
        "vision_model.embeddings.position_ids": (1, 257),
        "visual_projection.weight": (768, 1024),
        "visual_projection_2.weight": (1280, 1024),
        "fuse_module.mlp1.layernorm.weight": (4096,),
        "fuse_module.mlp1.fc1.weight": (2048, 4096),
    }
    for norm in ("pre_layrnorm", "post_layernorm"):
        shapes |= _both(f"vision_model.{norm}", (1024,), 1024)
    for layer in range(24):
        start = f"vision_model.encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _both(f"{start}.self_attn.{part}", (1024, 1024), 1024)
        shapes |= _both(f"{start}.mlp.fc1", (4096, 1024), 4096) | _both(f"{start}.mlp.fc2", (1024, 4096), 1024)
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= _both(f"{start}.{norm}", (1024,), 1024)
    lora = {"lora_weights.unet.mid_block.attentions.0.attn1.processor.to_q_lora.down.weight": (64, 1280)}
    return {f"id_encoder.{name}": shape for name, shape in shapes.items()} | lora


def stand_in(shapes: Shapes) -> dict[str, Tensor]:
    """Make tensors that have shapes and no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def _both(name: str, shape: tuple[int, ...], out: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (out,)}
