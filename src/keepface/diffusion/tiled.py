"""Latents and pictures of any size, of which the networks only ever see tiles of their own size.

[StableSR] Wang et al. 2024, "Exploiting Diffusion Prior for Real-World Image Super-Resolution"
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.diffusion.family import Family
from keepface.diffusion.sampler import Predict
from keepface.errors import RecipeError
from keepface.image.tiles import Blend, Layout, Tile, cut

KEPT = 64  # ours: so many tiles stay bound from step to step, which bounds what their conditions take

Bind = Callable[[Sequence[Tile]], Predict]  # binds the conditions of some tiles, which are given on the latent grid
Done = Callable[[int], None]  # is told how many more tiles are done


def tiled_predict(bind: Bind, layout: Layout, count: int, done: Done | None = None, kept: int = KEPT) -> Predict:
    """Make a prediction for a large latent of those for its tiles: sum(w * eps_tile) / sum(w). [StableSR]

    Fused is what the network predicts (eps or v), so that the scheduler makes one step on the whole latent. The sum
    is kept in 64 bits: a tile's weights at its edge and in its middle differ by a factor of 10^5.

    Args:
        count: tiles that are predicted at once.
        kept: tiles whose conditions are kept between steps; those of the others are bound anew each step.
    """
    batches, bound = list(layout.batches(count)), dict[int, Predict]()

    @torch.no_grad()
    def predict(x_t: Float[Tensor, "1 c h w"], t: Tensor) -> Float[Tensor, "1 c h w"]:
        blend = Blend(layout, torch.empty(x_t.shape[1:], dtype=torch.float64))
        for number, tiles in enumerate(batches):
            part = bound[number] if number in bound else bind(tiles)
            if (number + 1) * count <= kept:
                bound[number] = part
            for tile, values in zip(tiles, part(cut(x_t[0], tiles), t).cpu(), strict=True):
                blend.add(tile, values)
            if done:
                done(len(tiles))
        return blend.out[None].to(x_t)

    return predict


@torch.no_grad()
def tiled_encode(
    family: Family, image: Float[Tensor, "3 h w"], layout: Layout, count: int
) -> Float[Tensor, "1 c h2 w2"]:
    """Encode a picture (RGB, 0..1) tile by tile and blend the latents; `layout` is that of the latent grid."""
    fine = layout.scaled(pixels_per_cell(family))
    blend = Blend(layout, torch.empty(family.latent_shape[0], *layout.size, dtype=torch.float64))
    for tiles, squares in zip(layout.batches(count), fine.batches(count), strict=True):
        for tile, latent in zip(tiles, family.encode(cut(image, squares)).cpu(), strict=True):
            blend.add(tile, latent)
    return blend.out[None].to(family.device, family.dtype)


@torch.no_grad()
def tiled_decode(
    family: Family, latent: Float[Tensor, "1 c h w"], layout: Layout, count: int
) -> Float[Tensor, "3 h2 w2"]:
    """Decode a latent tile by tile and blend the pictures (RGB, 0..1, float32 on the CPU)."""
    fine = layout.scaled(pixels_per_cell(family))
    blend = Blend(fine, torch.empty(3, *fine.size))
    for tiles, squares in zip(layout.batches(count), fine.batches(count), strict=True):
        for square, picture in zip(squares, family.decode(cut(latent[0], tiles)), strict=True):
            blend.add(square, picture)
    return blend.out


def pixels_per_cell(family: Family) -> int:
    """Return how many pixels of a picture stand side by side in one cell of its latent.

    Raises:
        RecipeError: the family's squares have no whole number of them.
    """
    _, height, width = family.latent_shape
    if height != width or family.size % height:
        raise RecipeError(f"family {family.card.name!r}: {family.size} px and a latent of {height} x {width} don't fit")
    return family.size // height
