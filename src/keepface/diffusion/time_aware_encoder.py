"""The time-aware encoder: half a UNet over the low picture's latent, told the time, that gives one map a resolution.

    Wang et al. 2024, "Exploiting diffusion prior for real-world image super-resolution"  [StableSR]
    Varanka et al. 2024, "PFStorer: Personalized face restoration and super-resolution", CVPR  [PFStorer]

Built of diffusers' own blocks.
"""

from dataclasses import dataclass
from typing import Any

from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, DownBlock2D, UNetMidBlock2D
from jaxtyping import Float, Int
from torch import Tensor, nn

from keepface.errors import RecipeError

Features = dict[tuple[int, int], Tensor]  # by height and width: the map of that resolution
EPS = 1e-5  # of the group norms


@dataclass(frozen=True)
class TimeAwareSettings:
    """Sizes of the encoder; the defaults are StableSR's over SD 2.1.

    multipliers: channels of each resolution, in widths; there are as many resolutions as the UNet has.
    attention: down-factors at which it attends to itself.
    layers: residual blocks a resolution.
    """

    in_channels: int = 4
    width: int = 256
    multipliers: tuple[int, ...] = (1, 1, 2, 2)
    attention: tuple[int, ...] = (1, 2, 4)
    layers: int = 2
    heads: int = 4
    norm_groups: int = 32

    def __post_init__(self) -> None:
        if not self.multipliers or self.layers < 1:
            raise RecipeError(
                f"time-aware encoder: multipliers {self.multipliers}, layers {self.layers}; it needs at least one each"
            )
        if self.width % self.norm_groups or self.width % self.heads:
            raise RecipeError(
                f"time-aware encoder: width {self.width} can't be cut into {self.norm_groups} norm groups and "
                f"{self.heads} heads; choose a multiple of both"
            )


class TimeAwareEncoder(nn.Module):
    """Tell from the low picture's latent and the time what each resolution of the UNet shall keep. [StableSR]"""

    def __init__(self, settings: TimeAwareSettings) -> None:
        super().__init__()
        self.settings = settings
        width, emb = settings.width, 4 * settings.width
        self.time = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, emb)
        self.conv_in = nn.Conv2d(settings.in_channels, width, 3, padding=1)
        channels = [width * multiplier for multiplier in settings.multipliers]
        levels = list(zip([width, *channels], channels, strict=False))
        self.levels = nn.ModuleList(
            _level(settings, level, into, out, is_last=level == len(levels) - 1)
            for level, (into, out) in enumerate(levels)
        )
        self.middle = UNetMidBlock2D(
            channels[-1],
            emb,
            resnet_eps=EPS,
            resnet_groups=settings.norm_groups,
            attention_head_dim=channels[-1] // settings.heads,
        )
        self.to_maps = nn.ModuleList(
            ResnetBlock2D(
                in_channels=count, out_channels=width, temb_channels=emb, groups=settings.norm_groups, eps=EPS
            )
            for count in channels
        )

    def forward(self, z: Float[Tensor, "b c h w"], t: Int[Tensor, "b"]) -> Features:
        """Return one map a resolution, of `width` channels, by its height and width.

        What is collected is the last tensor before each change of resolution and, for the smallest, the middle's.
        """
        emb = self.time_embedding(self.time(t).to(z.dtype))
        x, collected = self.conv_in(z), []
        for level in self.levels:
            x, states = level(x, emb)
            collected.append(states[self.settings.layers - 1])
        collected[-1] = self.middle(x, emb)
        maps = [block(item, emb) for block, item in zip(self.to_maps, collected, strict=True)]
        return {(item.shape[2], item.shape[3]): item for item in maps}


def _level(settings: TimeAwareSettings, level: int, into: int, out: int, is_last: bool) -> nn.Module:
    emb = 4 * settings.width
    if 2**level not in settings.attention:
        block: nn.Module = DownBlock2D(
            into,
            out,
            emb,
            num_layers=settings.layers,
            resnet_eps=EPS,
            resnet_groups=settings.norm_groups,
            add_downsample=not is_last,
        )
        return block
    attending: Any = AttnDownBlock2D(
        into,
        out,
        emb,
        num_layers=settings.layers,
        resnet_eps=EPS,
        resnet_groups=settings.norm_groups,
        attention_head_dim=out // settings.heads,
    )
    if is_last:
        attending.downsamplers = None
    return attending
