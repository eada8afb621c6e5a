"""Put a restored square back into its photo, so that no seam shows and nothing else changes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import corners, draw, invert, transform
from keepface.faces.harmonise import add_grain, match_blur, match_tint

FEATHER = 0.12  # ours: the soft edge ends where hair and background begin in an FFHQ square
AROUND = 0.25  # ours: how far from the square, in its sides, the photo's sharpness is measured


@dataclass(frozen=True, eq=False)
class Pasted:
    """Hold the photo with the square in it, and how much of each pixel comes from the square (0 to 1)."""

    pixels: Float[Tensor, "3 h w"]
    mask: Float[Tensor, "h w"]


def paste(
    photo: Float[Tensor, "3 h w"],
    restored: Float[Tensor, "3 s s"],
    matrix: Float[np.ndarray, "2 3"],
    feather: float = FEATHER,
    grain: torch.Generator | None = None,
) -> Pasted:
    """Draw the square where `matrix` (photo to square) took it from, under a mask with a soft edge.

    Args:
        photo: 0 to 1; left as it is. Where the mask is 0 the result has its very bits.
        restored: the square, 0 to 1.
        matrix: from pixels of the photo to pixels of the square, as `align_ffhq` gave it.
        feather: width of the soft edge, as a share of the square's side, 0 to 0.5; 0 gives a hard edge.
        grain: harmonises the square with the photo (see `harmonise.py`), and draws the grain; `None` does neither.
    """
    height, width = photo.shape[1:]
    pixels, mask = photo.clone(), torch.zeros(height, width, dtype=photo.dtype, device=photo.device)
    side = restored.shape[-1]
    reach = transform(corners((side, side)), invert(matrix))
    left, top = (max(0, int(edge)) for edge in np.floor(reach.min(0)))
    right, bottom = (
        min(most, int(edge) + 1) for most, edge in zip((width, height), np.ceil(reach.max(0)), strict=True)
    )
    if left >= right or top >= bottom:
        return Pasted(pixels, mask)
    shape = (bottom - top, right - left)
    there = np.hstack([matrix[:, :2], (matrix[:, 2] + matrix[:, :2] @ (left, top))[:, None]])  # from the part's pixels
    drawn = draw(restored, invert(there), shape, "reflect").to(photo)
    soft = torch.from_numpy(soft_mask(there, shape, side, feather)).to(photo)
    part = photo[:, top:bottom, left:right]
    if grain is not None:
        rim = round(AROUND * max(shape))
        around = photo[:, max(0, top - rim) : bottom + rim, max(0, left - rim) : right + rim]
        drawn = match_blur(match_tint(drawn, photo), around)
    blended = torch.where(soft > 0, (part + soft * (drawn - part)).clamp(0, 1), part)
    if grain is not None:
        blended = add_grain(blended, soft, drawn, part, around, grain)
    pixels[:, top:bottom, left:right] = blended
    mask[top:bottom, left:right] = soft
    return Pasted(pixels, mask)


def soft_mask(
    matrix: Float[np.ndarray, "2 3"], shape: tuple[int, int], side: int, feather: float
) -> Float[np.ndarray, "{shape[0]} {shape[1]}"]:
    """Give each pixel of a (height, width) picture its share of the square that `matrix` leads to.

    The share is 0 on and beyond the square's border, and climbs over `feather` of the side to 1, without a kink.
    """
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = transform(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64), matrix)
    depth = np.minimum(inside + 0.5, side - 0.5 - inside) / side  # from the nearer border, along x and along y
    climb = np.clip(depth / feather, 0, 1) if feather > 0 else (depth > 0).astype(np.float64)
    share: np.ndarray = np.prod(climb * climb * (3 - 2 * climb), axis=1).reshape(shape)
    return share
