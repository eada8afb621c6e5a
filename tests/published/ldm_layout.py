"""Latent diffusion's checkpoints written down from their architecture: every name and shape, apart from our tables.

The description is that of the public configs: a UNet is an input convolution, levels of residual blocks (with a
transformer where the level attends) and strided convolutions, a middle, and the way back, whose blocks take the kept
features beside their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sizes:
    """Sizes of StableSR over a Stable Diffusion; the defaults are those of `stablesr_000117.ckpt`."""

    width: int = 320
    mult: tuple[int, ...] = (1, 2, 4, 4)
    attends: tuple[int, ...] = (0, 1, 2)  # levels
    context: int = 1024
    blocks: int = 2
    maps: int = 256  # of the time-aware encoder
    maps_mult: tuple[int, ...] = (1, 1, 2, 2)
    maps_attend: tuple[int, ...] = (0, 1, 2)
    hidden: int = 128
    vae_width: int = 128
    vae_mult: tuple[int, ...] = (1, 2, 4, 4)
    is_linear: bool = True  # the transformers' own maps; Stable Diffusion 1 has convolutions


def checkpoint(sizes: Sizes) -> Shapes:
    """Return everything that a checkpoint holds, the parts that are left out among it."""
    shapes = unet(sizes, "model.diffusion_model.", has_spade=True) | vae(sizes) | encoder(sizes)
    steps = ("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod")
    steps += ("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod")
    steps += ("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2")
    text: Shapes = {"cond_stage_model.model.ln_final.weight": (sizes.context,)}
    return shapes | {name: (1000,) for name in steps} | text


def unet(s: Sizes, prefix: str, has_spade: bool) -> Shapes:
    """Return the names of the UNet, with SFT in each residual block or without."""
    shapes, emb = time_embedding(s.width), 4 * s.width
    shapes |= conv("input_blocks.0.0", 4, s.width)
    spade = (s.maps, s.hidden) if has_spade else None
    channels, kept, place = s.width, [s.width], 1
    for level, mult in enumerate(s.mult):
        for _ in range(s.blocks):
            shapes |= resblock(f"input_blocks.{place}.0", channels, s.width * mult, emb, spade)
            channels = s.width * mult
            if level in s.attends:
                shapes |= transformer(f"input_blocks.{place}.1", channels, s)
            kept.append(channels)
            place += 1
        if level < len(s.mult) - 1:
            shapes |= conv(f"input_blocks.{place}.0.op", channels, channels)
            kept.append(channels)
            place += 1
    shapes |= resblock("middle_block.0", channels, channels, emb, spade)
    shapes |= transformer("middle_block.1", channels, s)
    shapes |= resblock("middle_block.2", channels, channels, emb, spade)
    place = 0
    for level in reversed(range(len(s.mult))):
        for number in range(s.blocks + 1):
            out = s.width * s.mult[level]
            shapes |= resblock(f"output_blocks.{place}.0", channels + kept.pop(), out, emb, spade)
            channels, inside = out, 1
            if level in s.attends:
                shapes |= transformer(f"output_blocks.{place}.1", channels, s)
                inside = 2
            if level and number == s.blocks:
                shapes |= conv(f"output_blocks.{place}.{inside}.conv", channels, channels)
            place += 1
    shapes |= norm("out.0", channels) | conv("out.2", channels, 4)
    return {prefix + name: shape for name, shape in shapes.items()}


def encoder(s: Sizes) -> Shapes:
    """Return the names of the time-aware encoder."""
    shapes, emb = time_embedding(s.maps), 4 * s.maps
    shapes |= conv("input_blocks.0.0", 4, s.maps)
    channels, place, last = s.maps, 1, []
    for level, mult in enumerate(s.maps_mult):
        for _ in range(s.blocks):
            shapes |= resblock(f"input_blocks.{place}.0", channels, s.maps * mult, emb, None)
            channels = s.maps * mult
            if level in s.maps_attend:
                shapes |= row_attention(f"input_blocks.{place}.1", channels)
            place += 1
        if level < len(s.maps_mult) - 1:
            shapes |= conv(f"input_blocks.{place}.0.op", channels, channels)
            place += 1
        last.append(channels)
    shapes |= resblock("middle_block.0", channels, channels, emb, None)
    shapes |= row_attention("middle_block.1", channels)
    shapes |= resblock("middle_block.2", channels, channels, emb, None)
    for level, count in enumerate(last):
        shapes |= resblock(f"fea_tran.{level}", count, s.maps, emb, None)
    return {f"structcond_stage_model.{name}": shape for name, shape in shapes.items()}


def vae(s: Sizes) -> Shapes:
    """Return the names of the autoencoder."""
    wide = [s.vae_width * mult for mult in s.vae_mult]
    shapes = conv("encoder.conv_in", 3, wide[0])
    channels = wide[0]
    for level, out in enumerate(wide):
        for number in range(s.blocks):
            shapes |= plain_block(f"encoder.down.{level}.block.{number}", channels, out)
            channels = out
        if level < len(wide) - 1:
            shapes |= conv(f"encoder.down.{level}.downsample.conv", channels, channels)
    shapes |= conv("decoder.conv_in", 4, channels)
    for side in ("encoder", "decoder"):
        shapes |= plain_block(f"{side}.mid.block_1", channels, channels)
        shapes |= plain_block(f"{side}.mid.block_2", channels, channels) | norm(f"{side}.mid.attn_1.norm", channels)
        for part in ("q", "k", "v", "proj_out"):
            shapes |= conv(f"{side}.mid.attn_1.{part}", channels, channels, 1)
    shapes |= norm("encoder.norm_out", channels) | conv("encoder.conv_out", channels, 8)
    for level in reversed(range(len(wide))):
        for number in range(s.blocks + 1):
            shapes |= plain_block(f"decoder.up.{level}.block.{number}", channels, wide[level])
            channels = wide[level]
        if level:
            shapes |= conv(f"decoder.up.{level}.upsample.conv", channels, channels)
    shapes |= norm("decoder.norm_out", channels) | conv("decoder.conv_out", channels, 3)
    shapes |= conv("quant_conv", 8, 8, 1) | conv("post_quant_conv", 4, 4, 1)
    return {f"first_stage_model.{name}": shape for name, shape in shapes.items()}


def time_embedding(width: int) -> Shapes:
    return linear("time_embed.0", width, 4 * width) | linear("time_embed.2", 4 * width, 4 * width)


def resblock(name: str, into: int, out: int, emb: int, spade: tuple[int, int] | None) -> Shapes:
    shapes = norm(f"{name}.in_layers.0", into) | conv(f"{name}.in_layers.2", into, out)
    shapes |= linear(f"{name}.emb_layers.1", emb, out)
    shapes |= norm(f"{name}.out_layers.0", out) | conv(f"{name}.out_layers.3", out, out)
    if into != out:
        shapes |= conv(f"{name}.skip_connection", into, out, 1)
    if spade:
        maps, hidden = spade
        shapes |= norm(f"{name}.spade.param_free_norm", out) | conv(f"{name}.spade.mlp_shared.0", maps, hidden)
        shapes |= conv(f"{name}.spade.mlp_gamma", hidden, out) | conv(f"{name}.spade.mlp_beta", hidden, out)
    return shapes


def plain_block(name: str, into: int, out: int) -> Shapes:
    shapes = norm(f"{name}.norm1", into) | conv(f"{name}.conv1", into, out)
    shapes |= norm(f"{name}.norm2", out) | conv(f"{name}.conv2", out, out)
    return shapes | (conv(f"{name}.nin_shortcut", into, out, 1) if into != out else {})


def row_attention(name: str, width: int) -> Shapes:
    shapes: Shapes = {f"{name}.qkv.weight": (3 * width, width, 1), f"{name}.qkv.bias": (3 * width,)}
    shapes |= {f"{name}.proj_out.weight": (width, width, 1), f"{name}.proj_out.bias": (width,)}
    return norm(f"{name}.norm", width) | shapes


def transformer(name: str, width: int, s: Sizes) -> Shapes:
    shapes, inside = norm(f"{name}.norm", width), f"{name}.transformer_blocks.0"
    for part in ("proj_in", "proj_out"):
        shapes |= linear(f"{name}.{part}", width, width) if s.is_linear else conv(f"{name}.{part}", width, width, 1)
    for layer, context in (("attn1", width), ("attn2", s.context)):
        for part, into in (("to_q", width), ("to_k", context), ("to_v", context)):
            shapes[f"{inside}.{layer}.{part}.weight"] = (width, into)
        shapes |= linear(f"{inside}.{layer}.to_out.0", width, width)
    shapes |= linear(f"{inside}.ff.net.0.proj", width, 8 * width) | linear(f"{inside}.ff.net.2", 4 * width, width)
    for number in (1, 2, 3):
        shapes |= norm(f"{inside}.norm{number}", width)
    return shapes


def conv(name: str, into: int, out: int, side: int = 3) -> Shapes:
    return {f"{name}.weight": (out, into, side, side), f"{name}.bias": (out,)}


def linear(name: str, into: int, out: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def on_meta(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Make tensors of these shapes that have no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Make tensors of these shapes as large as those of a network: norms near one, maps of about unit gain."""
    rng, made = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes.items():
        drawn_here = torch.randn(shape, generator=rng)
        if len(shape) > 1:
            made[name] = drawn_here / (torch.Size(shape[1:]).numel() ** 0.5)
        else:
            made[name] = 0.1 * drawn_here + (1.0 if name.endswith("weight") else 0.0)
    return made
