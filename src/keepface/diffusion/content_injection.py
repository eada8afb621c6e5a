"""Content injection: a ControlNet that sees the low picture beside the noisy latent, as more channels of its input.

Zhang et al. 2023, "Adding conditional control to text-to-image diffusion models"  [ControlNet]
Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]
"""

from typing import Any

import torch
from diffusers import ControlNetModel
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.image.size import resize

Residuals = tuple[list[Tensor], Tensor]  # what is added to the features of a UNet's way down, and of its middle


class _NoHint(nn.Module):
    def forward(self, hint: Tensor) -> Tensor:
        return hint.new_zeros(())


class ContentInjection(ControlNetModel):  # type: ignore[misc]
    """A ControlNet that takes the low picture as more channels of its input, without a hint encoder. [RIDFR, Sec. 3.2]

    Its `in_channels` are the latent's and, after them, those of the low picture: 3 of its pixels, or its latent's, or
    those of its blocks.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Leave out the hint encoder that every ControlNet builds, so that none is trained, saved or asked for."""
        super().__setattr__(name, _NoHint() if name == "controlnet_cond_embedding" else value)

    @classmethod
    def begin(cls, unet: Any, extra: int) -> "ContentInjection":
        """Copy a UNet's encoder; `extra` more input channels have no effect yet, and nothing is added to the UNet."""
        stock = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(1,))
        content: ContentInjection = cls.from_config({**stock.config, "in_channels": unet.config.in_channels + extra})
        state = {name: x for name, x in stock.state_dict().items() if not name.startswith("controlnet_cond_embedding.")}
        widened = torch.zeros_like(content.conv_in.weight)
        widened[:, : unet.config.in_channels] = state["conv_in.weight"]
        content.load_state_dict({**state, "conv_in.weight": widened})
        return content

    def seeing_blocks(self, per_block: int) -> "ContentInjection":
        """Return a module that sees blocks of so many pixels, of each block's mean what this one sees of a pixel."""
        seen = self.config.in_channels - 3
        blocks: ContentInjection = self.from_config({**self.config, "in_channels": seen + 3 * per_block})
        weight = self.conv_in.weight
        spread = weight[:, seen:].repeat_interleave(per_block, dim=1) / per_block
        blocks.load_state_dict({**self.state_dict(), "conv_in.weight": torch.cat([weight[:, :seen], spread], dim=1)})
        return blocks

    def inject(
        self, x_t: Float[Tensor, "b c h w"], t: Tensor, low: Float[Tensor, "b c2 h w"], words: dict[str, Any]
    ) -> Residuals:
        """Return what is added to the UNet's features; of conditions it sees the prompt alone, never the identity."""
        down, middle = self(torch.cat([x_t, low], 1), t, controlnet_cond=low, return_dict=False, **words)
        return down, middle


def pixels_on_grid(low: Float[Tensor, "b 3 s s"], grid: tuple[int, int]) -> Float[Tensor, "b 3 h w"]:
    """Bring the low picture to the latent's grid, bicubic, -1..1; shrinking filters first. [RIDFR, Sec. 4.1]"""
    return resize(low, grid, "bicubic") * 2 - 1


def blocks_on_grid(low: Float[Tensor, "b 3 s s"], grid: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Lay each block of pixels in one place of the latent's grid, its pixels as channels, -1..1.  # ours"""
    return functional.pixel_unshuffle(low * 2 - 1, low.shape[-1] // grid[1])


def repeat_items(residuals: Residuals, copies: int) -> Residuals:
    """Serve so many copies of a batch, one after the other, with one batch's residuals."""
    down, middle = residuals
    return [item.repeat(copies, 1, 1, 1) for item in down], middle.repeat(copies, 1, 1, 1)


def pad_items(residuals: Residuals, count: int) -> Residuals:
    """Add nothing to the features of `count` more items."""
    down, middle = residuals
    *padded, last = [functional.pad(item, (0, 0, 0, 0, 0, 0, 0, count)) for item in (*down, middle)]
    return padded, last
