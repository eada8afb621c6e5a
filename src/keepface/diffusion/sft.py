"""Spatial feature transform: what the low picture says scales and shifts the features in each of a UNet's ResBlocks.

    Wang et al. 2018, "Recovering realistic texture in image super-resolution by deep spatial feature transform"  [SFT]
    Wang et al. 2024, "Exploiting diffusion prior for real-world image super-resolution"  [StableSR]

The layers belong to no UNet. For the time of one call they are hooked behind `conv2` of its ResBlocks, where nothing
stands before the residual is added; afterwards the UNet is what it was. Within the call the first rows of the batch
are modulated; the others pass untouched. A UNet so called must not recompute its activations (gradient checkpointing).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.diffusion.time_aware_encoder import Features
from keepface.errors import RecipeError


class SFT(nn.Module):
    """Normalise the features, then scale and shift each place of them: GN(h) (1 + G(s)) + B(s). [StableSR]

    It begins without a word from s: scale and shift start at zero.  # ours
    """

    def __init__(self, channels: int, map_channels: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.shared = nn.Conv2d(map_channels, hidden, 3, padding=1)
        self.scale = nn.Conv2d(hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden, channels, 3, padding=1)
        for conv in (self.scale, self.shift):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, h: Float[Tensor, "b c h w"], s: Float[Tensor, "b c2 h w"]) -> Float[Tensor, "b c h w"]:
        """Modulate the features `h` by the map `s`."""
        shared = functional.relu(self.shared(s))
        # Weight and bias apart: PyTorch 2.13 on CPUs crashes in the backward pass of a group norm that wants their
        # gradients and none of its input, where that lies channels last; a frozen UNet's first features are such.
        normed = functional.group_norm(h, self.norm.num_groups, eps=self.norm.eps)
        normed = normed * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        modulated: Tensor = normed * (1 + self.scale(shared)) + self.shift(shared)
        return modulated


class SFTLayers(nn.Module):
    """One SFT for each ResBlock of a UNet, 22 for Stable Diffusion's. [StableSR]"""

    def __init__(self, unet: nn.Module, map_channels: int, hidden: int) -> None:
        super().__init__()
        groups = int(unet.config.norm_num_groups)  # type: ignore[union-attr, arg-type]
        blocks = {name: block for name, block in unet.named_modules() if isinstance(block, ResnetBlock2D)}
        self.places = tuple(blocks)
        self.layers = nn.ModuleDict(
            {_key(name): SFT(block.conv2.out_channels, map_channels, hidden, groups) for name, block in blocks.items()}
        )

    @contextmanager
    def over(self, unet: nn.Module, features: Features, rows: int) -> Iterator[None]:
        """Modulate, inside a `with` block, the first `rows` items of whatever the UNet is called with.

        Raises:
            RecipeError: when called, if a resolution of the UNet has no map.
        """
        handles = [
            unet.get_submodule(f"{place}.conv2").register_forward_hook(
                partial(_modulate, self.layers[_key(place)], features, rows)
            )
            for place in (self.places if rows else ())
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def measured(self, unet: nn.Module) -> Iterator[None]:
        """Set each norm's weight and bias to the spread and mean of what the UNet, called in a `with` block, has there.

        Without it a fresh layer would normalise away the sizes that the rest of the UNet was trained with.  # ours
        """

        @torch.no_grad()
        def take(norm: nn.GroupNorm, conv: nn.Module, given: Any, h: Float[Tensor, "b c h w"]) -> None:
            # What the norm leaves of each channel, brought back to the channel's own mean and spread.
            normed = functional.group_norm(h, norm.num_groups, eps=norm.eps)
            spread = h.std((0, 2, 3)) / normed.std((0, 2, 3)).clamp(min=1e-6)
            norm.weight.copy_(spread)
            norm.bias.copy_(h.mean((0, 2, 3)) - spread * normed.mean((0, 2, 3)))

        handles = [
            unet.get_submodule(f"{place}.conv2").register_forward_hook(
                partial(take, self.layers[_key(place)].norm)  # type: ignore[arg-type]
            )
            for place in self.places
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _modulate(layer: nn.Module, features: Features, rows: int, conv: nn.Module, given: Any, h: Tensor) -> Tensor:
    size = (h.shape[2], h.shape[3])
    if size not in features:
        has = ", ".join(f"{height} x {width}" for height, width in features)
        raise RecipeError(
            f"sft: the UNet has features of {size[0]} x {size[1]}, the time-aware encoder gives {has}; "
            "it needs as many resolutions as the UNet: set [method.encoder] multipliers"
        )
    modulated: Tensor = layer(h[:rows], features[size]).to(h.dtype)  # autocast would leave a wider one
    return modulated if rows == len(h) else torch.cat([modulated, h[rows:]])


def _key(place: str) -> str:
    return place.replace(".", "_")
