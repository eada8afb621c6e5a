"""How visible the borders of tiles are in a picture that was made of them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from keepface.errors import DataError

NEAR = 32  # ours: px from a border up to which lines are compared with it, so that both see the same content


def seam_ratio(
    image: Float[Tensor, "b 3 h w"],
    rows: Sequence[int],
    columns: Sequence[int],
    near: int | None = NEAR,
    cell: int = 1,
) -> float:
    """Return the gradient's energy across the tiles' borders over that elsewhere: 1 is no seam, more is a seam.

    Energy is the mean square of the difference between neighbouring pixels, down across rows and along across columns.

    Args:
        rows: borders between the rows r - 1 and r; `columns` likewise. `Layout.borders` gives them.
        near: elsewhere is up to so many px from a border; `None` is the whole picture.
        cell: elsewhere is whole cells of so many px from a border: a decoder has a pattern of its own in every cell
            of the latent, tiles or not, and borders always lie at the same place in it.

    Raises:
        DataError: no border inside the picture, nothing but borders, or a picture without any gradient elsewhere.
    """
    parts = [_on_and_off(_energies(image, axis), borders, near, cell) for axis, borders in ((2, rows), (3, columns))]
    on, off = (torch.cat(part) for part in zip(*parts, strict=True))
    if not len(on) or not len(off) or not float(off.sum()) > 0:
        raise DataError(
            f"seams: {len(on)} border lines and {len(off)} others, of energy {float(off.sum()):.3g}; both kinds are "
            "needed, in a picture that is not one plain colour"
        )
    return float(on.mean() / off.mean())


def _on_and_off(
    energy: Float64[Tensor, "n"], borders: Sequence[int], near: int | None, cell: int
) -> tuple[Float64[Tensor, "k"], Float64[Tensor, "m"]]:
    """Return the energies on borders and off them; an axis that no border crosses says nothing."""
    inside = [border - 1 for border in borders if 0 < border <= len(energy)]
    is_border, is_near = torch.zeros(2, len(energy), dtype=torch.bool)
    for place in inside:
        cells = (len(energy) if near is None else near) // cell
        is_border[place] = True
        is_near[max(place % cell, place - cells * cell) : place + cells * cell + 1 : cell] = True
    return energy[is_border], energy[is_near & ~is_border]


def _energies(image: Float[Tensor, "b 3 h w"], axis: int) -> Float64[Tensor, "n"]:
    """Return the mean square difference across each line between two pixels, down (axis 2) or along (axis 3).

    A few lines at once, so that a large picture is not copied.
    """
    length = image.shape[axis]
    found = torch.empty(length - 1, dtype=torch.float64)
    for first in range(0, length - 1, 64):
        part = image.narrow(axis, first, min(65, length - first)).double()
        others = tuple(dimension for dimension in range(4) if dimension != axis)
        found[first : first + 64] = part.diff(dim=axis).square().mean(others)
    return found
