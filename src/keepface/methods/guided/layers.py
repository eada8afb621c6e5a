"""The building blocks of the guided network: residual blocks, a pyramid encoder, warping, attention to references.

    Li et al., ECCV 2018, "Learning Warped Guidance for Blind Face Restoration"  [GFRNet]
    Hsiao et al., NeurIPS 2024, "ReF-LDM: A Latent Diffusion Model for Reference-based Face Image Restoration"
    [ReF-LDM]

Places are counted as `grid_sample` counts them: -1 to 1 over the picture, `align_corners=False`. A flow is added to a
place of the degraded square and leads to the matching place of a reference.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

STEM = 4  # the first layer sees blocks of 4 x 4 pixels as channels


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """Return a convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution that answers 0 until it has learned something."""
    layer = conv(inputs, outputs)
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut, with one learned gain a channel and no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels)
        if self.second.bias is not None:
            nn.init.zeros_(self.second.bias)
        self.gain = nn.Parameter(torch.full((1, channels, 1, 1), 0.2))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add what the block has learned to its input."""
        return x + self.gain * self.second(functional.silu(self.first(functional.silu(x))))


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    """Return `count` residual blocks, one after the other."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class PyramidEncoder(nn.Module):
    """A picture to features at 1/4, 1/8, 1/16 ... of its side, one level for each entry of `channels`."""

    def __init__(self, channels: Sequence[int], blocks: int, inputs: int = 3) -> None:
        super().__init__()
        self.stem = conv(inputs * STEM**2, channels[0])
        self.levels = nn.ModuleList(residual_blocks(width, blocks) for width in channels)
        self.down = nn.ModuleList(nn.Conv2d(4 * fine, coarse, 1) for fine, coarse in pairwise(channels))

    def forward(self, picture: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the features of each level, the finest first; the picture is -1..1, its sides multiples of 16."""
        x = self.stem(functional.pixel_unshuffle(picture, STEM))
        features = []
        for number, level in enumerate(self.levels):
            if number:
                x = self.down[number - 1](functional.pixel_unshuffle(x, 2))
            x = level(x)
            features.append(x)
        return features


def warp(picture: Float[Tensor, "b c h w"], flow: Float[Tensor, "b 2 h2 w2"]) -> Float[Tensor, "b c h2 w2"]:
    """Take each place of the result from the place of `picture` that the flow (in half sides) leads to, bilinearly."""
    height, width = flow.shape[-2:]
    y = (torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5) * 2 / height - 1
    x = (torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5) * 2 / width - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1) + flow.permute(0, 2, 3, 1)
    return functional.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def enlarge(maps: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c {side} {side}"]:
    """Bring square maps to another side, bilinearly."""
    return functional.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


def grouped(items: Shaped[Tensor, "n ..."], count: int) -> Shaped[Tensor, "n2 {count} ..."]:
    """Group items, such as all references of a batch, by `count`, as many as each square has."""
    return items.reshape(-1, count, *items.shape[1:])


def position_code(height: int, width: int, channels: int, device: torch.device) -> Float[Tensor, "{height}*{width} c"]:
    """Return sines and cosines of each place's row and column, `channels` (a multiple of 4) of them."""
    octaves = 2 ** torch.arange(channels // 4, device=device).float() * torch.pi / 2

    def waves(count: int) -> Tensor:
        angle = ((torch.arange(count, device=device) + 0.5) / count)[:, None] * octaves
        return torch.cat([angle.sin(), angle.cos()], 1)

    rows = waves(height)[:, None].expand(height, width, -1)
    columns = waves(width)[None].expand(height, width, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)


class ReferenceAttention(nn.Module):
    """Let every place look at every place of every reference, or at nothing. [after ReF-LDM, Sec. 3.2]

    References may come in any order and number. One empty token, all zeros, is there to be looked at where no
    reference is believed.
    """

    HEADS, POSITIONS = 4, 32

    def __init__(self, channels: int, reference_channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels + self.POSITIONS, channels)
        self.key = nn.Linear(reference_channels + self.POSITIONS, channels)
        self.value = nn.Linear(reference_channels + self.POSITIONS, channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        references: Float[Tensor, "b k c2 h w"],
        present: Bool[Tensor, "b k"],
    ) -> Float[Tensor, "b c h w"]:
        """Add what the references that are present hold."""
        batch, _, height, width = x.shape
        count, places = references.shape[1], height * width
        position = position_code(height, width, self.POSITIONS, x.device).to(x.dtype)
        queries = torch.cat([x.flatten(2).transpose(1, 2), position.expand(batch, -1, -1)], 2)
        tokens = references.flatten(3).permute(0, 1, 3, 2).flatten(1, 2)
        tokens = torch.cat([tokens, position.repeat(count, 1).expand(batch, -1, -1)], 2)
        tokens = functional.pad(tokens, (0, 0, 1, 0))  # the empty token comes first
        visible = functional.pad(present.repeat_interleave(places, 1), (1, 0), value=True)[:, None, None]

        def heads(z: Tensor) -> Tensor:
            return z.reshape(*z.shape[:2], self.HEADS, -1).transpose(1, 2)

        found = functional.scaled_dot_product_attention(
            heads(self.query(queries)), heads(self.key(tokens)), heads(self.value(tokens)), attn_mask=visible
        )
        added = self.out(found.transpose(1, 2).flatten(2))
        return x + added.transpose(1, 2).reshape(x.shape)
