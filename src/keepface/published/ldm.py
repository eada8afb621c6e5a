"""Names of latent diffusion's own checkpoints, and the tensors of ours that they become.

    Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models"  [LDM]
    Wang et al. 2024, "Exploiting diffusion prior for real-world image super-resolution"  [StableSR]

A table has one line for each of our tensors: the published tensor it comes from, that tensor's shape, and which of the
three (query, key, value) it is where the published one holds all. What no line names is no part of the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from keepface.diffusion.sft import SFTLayers
from keepface.diffusion.time_aware_encoder import TimeAwareEncoder

UNET, VAE, ENCODER = "model.diffusion_model", "first_stage_model", "structcond_stage_model"
RESNET = {  # our name, published name
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
SPADE = {"norm": "param_free_norm", "shared": "mlp_shared.0", "scale": "mlp_gamma", "shift": "mlp_beta"}
THIRDS = ("to_q", "to_k", "to_v")


@dataclass(frozen=True)
class Origin:
    """Where one of our tensors comes from.

    shape: the published tensor's, which may have more dimensions of 1 at its end than ours.
    third: 0, 1 or 2 where the published tensor holds query, key and value, head by head; else -1.
    """

    name: str
    shape: tuple[int, ...]
    third: int = -1
    heads: int = 1


Table = dict[str, Origin]


def layout(table: Table) -> dict[str, tuple[int, ...]]:
    """Return the published names and shapes that a table asks for."""
    return {origin.name: origin.shape for origin in table.values()}


def renamed(table: Table, published: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors by our names; `published` must have the table's layout."""
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {}
    for name, origin in table.items():
        tensor = published[origin.name]
        if origin.third >= 0:
            tensor = tensor.unflatten(0, (origin.heads, 3, -1))[:, origin.third].flatten(0, 1)  # type: ignore[no-untyped-call]
        found[name] = tensor.reshape(shapes[name])
    return found


def unet_table(unet: Any) -> Table:
    """Return where the tensors of Stable Diffusion's UNet come from. [LDM]"""
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        **_way_down(unet.down_blocks, "down_blocks"),
        **_middle("mid_block"),
    }
    above = 0
    for level, block in enumerate(unet.up_blocks):
        attends = hasattr(block, "attentions")
        for layer in range(len(block.resnets)):
            places |= _resnet(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{above + layer}.0")
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{above + layer}.1"
        above += len(block.resnets)
        places[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{above - 1}.{2 if attends else 1}.conv"
    return {
        name: Origin(f"{UNET}.{_place(name, places)}", tuple(tensor.shape))
        for name, tensor in unet.state_dict().items()
    }


def sft_table(layers: SFTLayers, unet: Any) -> Table:
    """Return where the SFT layers' tensors come from: `spade` in each of the UNet's ResBlocks. [StableSR]"""
    of_unet, table = unet_table(unet), {}
    shapes = {name: tuple(tensor.shape) for name, tensor in layers.state_dict().items()}
    for place in layers.places:
        block = of_unet[f"{place}.conv1.weight"].name.removesuffix(".in_layers.2.weight")
        for part, theirs in SPADE.items():
            for leaf in ("weight", "bias"):
                own = f"layers.{place.replace('.', '_')}.{part}.{leaf}"
                table[own] = Origin(f"{block}.spade.{theirs}.{leaf}", shapes[own])
    return table


def encoder_table(encoder: TimeAwareEncoder) -> Table:
    """Return where the time-aware encoder's tensors come from; its attention is LDM's older one. [StableSR]"""
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        **_way_down(encoder.levels, "levels"),
        **_middle("middle"),
    }
    for level in range(len(encoder.to_maps)):
        places |= _resnet(f"to_maps.{level}", f"fea_tran.{level}")
    table, heads = {}, encoder.settings.heads
    for name, tensor in encoder.state_dict().items():
        theirs, shape = f"{ENCODER}.{_place(name, places)}", tuple(tensor.shape)
        _, _, inside = name.partition(".attentions.")  # such as 0.to_q.weight
        table[name] = _older_attention(theirs, inside[2:], shape, heads) if inside else Origin(theirs, shape)
    return table


def vae_table(vae: Any) -> Table:
    """Return where the tensors of Stable Diffusion's autoencoder come from. [LDM]"""
    places: dict[str, str] = {}
    levels = len(vae.decoder.up_blocks)
    for side in ("encoder", "decoder"):
        for part in ("conv_in", "conv_out"):
            places[f"{side}.{part}"] = f"{side}.{part}"
        places[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        for number in (0, 1):
            places |= _plain_resnet(f"{side}.mid_block.resnets.{number}", f"{side}.mid.block_{number + 1}")
        ours, theirs = f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1"
        parts = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        places |= {f"{ours}.{part}": f"{theirs}.{other}" for part, other in parts.items()}
    for level in range(levels):
        mirror = levels - 1 - level  # latent diffusion counts the decoder's levels from the picture
        for layer in range(len(vae.encoder.down_blocks[level].resnets)):
            places |= _plain_resnet(
                f"encoder.down_blocks.{level}.resnets.{layer}", f"encoder.down.{level}.block.{layer}"
            )
        for layer in range(len(vae.decoder.up_blocks[level].resnets)):
            places |= _plain_resnet(f"decoder.up_blocks.{level}.resnets.{layer}", f"decoder.up.{mirror}.block.{layer}")
        places[f"encoder.down_blocks.{level}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
        places[f"decoder.up_blocks.{level}.upsamplers.0.conv"] = f"decoder.up.{mirror}.upsample.conv"
    places |= {part: part for part in ("quant_conv", "post_quant_conv")}
    table = {}
    for name, tensor in vae.state_dict().items():
        shape = tuple(tensor.shape)
        is_map = ".attentions." in name and len(shape) == 2  # published as a convolution of 1 x 1
        table[name] = Origin(f"{VAE}.{_place(name, places)}", (*shape, 1, 1) if is_map else shape)
    return table


def _older_attention(theirs: str, part: str, shape: tuple[int, ...], heads: int) -> Origin:
    """Return the origin of one tensor of an attention whose maps are convolutions over a row, the three inputs' one."""
    block, leaf = theirs.removesuffix(f".{part}"), part.rpartition(".")[2]
    row = (1,) if leaf == "weight" else ()
    which = part.partition(".")[0]
    if which in THIRDS:
        return Origin(f"{block}.qkv.{leaf}", (3 * shape[0], *shape[1:], *row), THIRDS.index(which), heads)
    if which == "to_out":
        return Origin(f"{block}.proj_out.{leaf}", (*shape, *row))
    return Origin(f"{block}.norm.{leaf}", shape)


def _way_down(blocks: Any, ours: str) -> dict[str, str]:
    places: dict[str, str] = {}
    before = 1
    for level, block in enumerate(blocks):
        for layer in range(len(block.resnets)):
            places |= _resnet(f"{ours}.{level}.resnets.{layer}", f"input_blocks.{before + layer}.0")
            places[f"{ours}.{level}.attentions.{layer}"] = f"input_blocks.{before + layer}.1"
        before += len(block.resnets) + 1
        places[f"{ours}.{level}.downsamplers.0.conv"] = f"input_blocks.{before - 1}.0.op"
    return places


def _middle(ours: str) -> dict[str, str]:
    around = _resnet(f"{ours}.resnets.0", "middle_block.0") | _resnet(f"{ours}.resnets.1", "middle_block.2")
    return around | {f"{ours}.attentions.0": "middle_block.1"}


def _resnet(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{other}" for part, other in RESNET.items()}


def _plain_resnet(ours: str, theirs: str) -> dict[str, str]:
    same = {f"{ours}.{part}": f"{theirs}.{part}" for part in ("norm1", "conv1", "norm2", "conv2")}
    return same | {f"{ours}.conv_shortcut": f"{theirs}.nin_shortcut"}


def _place(name: str, places: Mapping[str, str]) -> str:
    """Replace the longest beginning of a name that has another published name."""
    head, tail = name, ""
    while head not in places:
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return places[head] + tail
