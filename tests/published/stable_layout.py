"""The files of RIDFR on SD 1.5 written down from their descriptions: names and shapes, apart from our code."""

from typing import Any

from .ldm_layout import Shapes, linear, norm

SD15: dict[str, Any] = {  # what unet/config.json says
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "in_channels": 4,
    "layers_per_block": 2,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
SD21: dict[str, Any] = SD15 | {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
CLIP_H: dict[str, Any] = {  # the vision_config of the whole model's config.json
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "image_size": 224,
    "intermediate_size": 5120,
    "num_attention_heads": 16,
    "num_hidden_layers": 32,
    "patch_size": 14,
    "projection_dim": 1024,
}
# Width of each transformer in the order in which adapters count layers: the ways down and up, and the middle last.
WIDTHS = [320] * 2 + [640] * 2 + [1280] * 2 + [1280] * 3 + [640] * 3 + [320] * 3 + [1280]


def faceid_plus(widths: list[int], context: int, tokens: int, vector: int, depth: int, rank: int) -> Shapes:
    """Return the tensors of ip-adapter-faceid-plus: queries, resampler, keys and values, LoRA."""
    shapes = linear("image_proj.proj.0", vector, 2 * vector) | linear("image_proj.proj.2", 2 * vector, 4 * context)
    shapes |= norm("image_proj.norm", context)
    inside = linear("proj_in", tokens, context) | linear("proj_out", context, context) | norm("norm_out", context)
    for layer in range(depth):
        look, feed = f"layers.{layer}.0", f"layers.{layer}.1"
        inside |= norm(f"{look}.norm1", context) | norm(f"{look}.norm2", context) | norm(f"{feed}.0", context)
        inside |= {f"{look}.to_q.weight": (context, context), f"{look}.to_kv.weight": (2 * context, context)}
        inside |= {f"{look}.to_out.weight": (context, context), f"{feed}.1.weight": (4 * context, context)}
        inside |= {f"{feed}.3.weight": (context, 4 * context)}
    shapes |= {f"image_proj.perceiver_resampler.{name}": shape for name, shape in inside.items()}
    for place, width in enumerate(width for width in widths for _ in range(2)):  # attends to itself, then to the prompt
        start, is_cross = f"ip_adapter.{place}", place % 2 == 1
        into = {"to_q": width, "to_k": context if is_cross else width, "to_v": context if is_cross else width}
        for part, columns in (into | {"to_out": width}).items():
            shapes |= {f"{start}.{part}_lora.down.weight": (rank, columns)}
            shapes |= {f"{start}.{part}_lora.up.weight": (width, rank)}
        if is_cross:
            shapes |= {f"{start}.{part}_ip.weight": (width, context) for part in ("to_k", "to_v")}
    return shapes


def clip(tower: dict[str, Any]) -> Shapes:
    """Return the tensors of a whole CLIP; of its text tower a few stand for all, as they are left out."""
    width, places = tower["hidden_size"], (tower["image_size"] // tower["patch_size"]) ** 2 + 1
    shapes: Shapes = {
        "embeddings.class_embedding": (width,),
        "embeddings.patch_embedding.weight": (width, 3, tower["patch_size"], tower["patch_size"]),
        "embeddings.position_embedding.weight": (places, width),
        "embeddings.position_ids": (1, places),
    }
    shapes |= norm("pre_layrnorm", width) | norm("post_layernorm", width)
    for layer in range(tower["num_hidden_layers"]):
        start = f"encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{start}.self_attn.{part}", width, width)
        shapes |= linear(f"{start}.mlp.fc1", width, tower["intermediate_size"])
        shapes |= linear(f"{start}.mlp.fc2", tower["intermediate_size"], width)
        shapes |= norm(f"{start}.layer_norm1", width) | norm(f"{start}.layer_norm2", width)
    image = {f"vision_model.{name}": shape for name, shape in shapes.items()}
    text: Shapes = {"logit_scale": (), "text_projection.weight": (tower["projection_dim"], 8)}
    text |= {"text_model.final_layer_norm.bias": (8,)}
    return image | text | {"visual_projection.weight": (tower["projection_dim"], width)}
