"""The pre-cleaner: a small network that takes noise, blocks and blur out of a low picture before a method restores it.

It stands where RIDFR, DiffBIR and others put SwinIR, and knows nothing of persons, latents or methods.

Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]
Liang et al. 2021, "SwinIR: Image restoration using Swin Transformer"           [SwinIR]
"""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.diffusion.family import Family, load_network, save_network
from keepface.errors import RecipeError, WeightsError
from keepface.image.tiles import Blend, Layout, cut, reflect_pad
from keepface.seeds import derive

FOLDER = "cleaner"  # below the family's
NORM_GROUPS = 8  # at most; fewer where channels can't be split so
TIME = 0  # the network is one of diffusion: it is told the same time always


@dataclass(frozen=True)
class CleanerSettings:
    """Sizes of a cleaner that starts from nothing; the defaults are the compact family's, 1.9 M parameters."""

    channels: tuple[int, ...] = (32, 48, 64, 96)  # one value a level, each half as wide as the one before
    layers: int = 1  # residual blocks a level
    shrink: int = 2  # pixels a side of what is one place of the network's grid  # ours: 8 at 512 px in DiffBIR's SwinIR


class Cleaner(nn.Module):
    """Add to a low picture what is missing from it: a UNet without time, without effect at the start. [RIDFR, Sec. 4.1]

    Blocks of `shrink` x `shrink` pixels become channels before the network, and pixels again behind it.
    """

    def __init__(self, network: UNet2DModel) -> None:
        super().__init__()
        self.network = network
        self.shrink = math.isqrt(network.config.in_channels // 3)
        self.multiple = self.shrink * 2 ** (len(network.config.block_out_channels) - 1)  # pictures are padded to it

    @classmethod
    def begin(cls, settings: CleanerSettings, size: int, seed: int) -> "Cleaner":
        """Build a cleaner that returns every picture as it is, for squares of `size` px.

        Raises:
            RecipeError: sizes that no network can be built of.
        """
        if not settings.channels or min(*settings.channels, settings.layers, settings.shrink) < 1:
            raise RecipeError(
                f"[method]: no cleaner has channels = {list(settings.channels)}, layers = {settings.layers} and "
                f"shrink = {settings.shrink}; name at least one level of channels, and let all be 1 or more"
            )
        levels, shown = len(settings.channels), 3 * settings.shrink**2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, FOLDER))
            network = UNet2DModel(
                sample_size=size // settings.shrink,
                in_channels=shown,
                out_channels=shown,
                block_out_channels=settings.channels,
                layers_per_block=settings.layers,
                down_block_types=("DownBlock2D",) * levels,
                up_block_types=("UpBlock2D",) * levels,
                norm_num_groups=math.gcd(NORM_GROUPS, *settings.channels),
                add_attention=False,
            )
        nn.init.zeros_(network.conv_out.weight)
        nn.init.zeros_(network.conv_out.bias)
        return cls(network).eval()

    @classmethod
    def load(cls, family: Family) -> "Cleaner":
        """Load a family's cleaner from its folder `cleaner/`, frozen, where the family is.

        Raises:
            WeightsError: the family has none, or its files are damaged or another network's.
        """
        folder = check_cleaner(family.folder)
        network: Any = load_network(UNet2DModel, folder, family.dtype)
        cleaner = cls(network)
        if not network.config.in_channels == network.config.out_channels == 3 * max(1, cleaner.shrink) ** 2:
            raise WeightsError(
                f"{folder}: is no cleaner: its network has {network.config.in_channels} channels in and "
                f"{network.config.out_channels} out; both must be 3 times a square number"
            )
        return cleaner.to(family.device, family.dtype).eval()

    @classmethod
    def learned_with(cls, family: Family, method: str) -> "Cleaner | None":
        """Load a family's cleaner if the method learned from what it makes; else `None`."""
        return cls.load(family) if method in family.card.cleaned else None

    def save(self, family: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the cleaner into the family's folder `family`."""
        save_network(self.network, family / FOLDER, dtype)

    def forward(self, low: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return the cleaned pictures (RGB, around 0..1, not clipped), in precision and place of the low ones."""
        height, width = low.shape[-2:]
        margins = (0, -width % self.multiple, 0, -height % self.multiple)
        shown = functional.pad(low.to(self.network.conv_in.weight) * 2 - 1, margins, mode="replicate")
        grid = functional.pixel_unshuffle(shown, self.shrink)
        residual = functional.pixel_shuffle(self.network(grid, TIME, return_dict=False)[0], self.shrink)
        return low + residual[..., :height, :width].to(low)

    @torch.no_grad()
    def clean(self, low: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Clean pictures (RGB, 0..1), each by itself; they come back as float32 on the CPU."""
        return self(low.float().cpu()).clamp(0, 1)

    def clean_large(self, low: Float[Tensor, "3 h w"], side: int, batch: int = 4) -> Float[Tensor, "3 h w"]:
        """Clean a picture of any size (RGB, 0..1) by squares of `side` px, `batch` at once, that overlap by half.

        A picture of one square is what `clean` makes of it; a smaller one is mirrored at its lower and right edge.
        """
        size = (max(side, low.shape[1]), max(side, low.shape[2]))
        layout = Layout.cover(size, (side, side), (side // 2, side // 2))
        padded = reflect_pad(low.float().cpu(), size)
        blend = Blend(layout, torch.empty_like(padded))
        for tiles in layout.batches(batch):
            for tile, cleaned in zip(tiles, self.clean(cut(padded, tiles)), strict=True):
                blend.add(tile, cleaned)
        return blend.out[:, : low.shape[1], : low.shape[2]]


def check_cleaner(family: Path | None) -> Path:
    """Return the folder of the cleaner in a family's folder.

    Raises:
        WeightsError: there is none; the text says how to come by one.
    """
    if family is None or not (family / FOLDER).is_dir():
        where = family or "FAMILY"
        raise WeightsError(
            f"{where}: this family has no cleaner; restore without --clean, or train one: keepface train "
            f"recipes/compact/cleaner.toml --data DATA --out runs/cleaner --set init_from={where}, "
            "and restore with --family runs/cleaner/family"
        )
    return family / FOLDER


def keep_cleaner(old: Path | None, new: Path) -> None:
    """Copy a family's cleaner, if it has one, to the folder of a family made of it: no other part is bound to it."""
    if old and (old / FOLDER).is_dir():
        shutil.copytree(old / FOLDER, new / FOLDER, dirs_exist_ok=True)
