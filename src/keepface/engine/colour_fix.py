"""How a restored picture gets the colours of the photo back, by the names one chooses them with."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.image.colour import WAVELET_LEVELS, adain_colour_fix, wavelet_colour_fix

ColourFix = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]], Float[Tensor, "b 3 h w"]]
COLOUR_FIXES: dict[str, ColourFix] = {
    "wavelet": wavelet_colour_fix,
    "adain": adain_colour_fix,
    "none": lambda restored, _: restored,
}
REACH = {"wavelet": 2**WAVELET_LEVELS - 1, "none": 0}  # rows beside a pixel that it depends on; others: on all
ROWS_AT_ONCE = 512  # ours


def fix_large(
    name: str, restored: Float[Tensor, "3 h w"], low: Float[Tensor, "3 h w"], rows: int = ROWS_AT_ONCE
) -> None:
    """Fix the colours of a large picture in place, by strips where the fix looks no further than a few rows."""
    reach = REACH.get(name, restored.shape[1])
    rows = max(rows, reach)
    above = restored[:, :0]  # of the strip: the rows before it, as they were
    for top in range(0, restored.shape[1], rows):
        strip = slice(top, top + rows)
        shown = torch.cat([above, restored[:, top : top + rows + reach]], dim=1)
        first = top - above.shape[1]
        fixed = COLOUR_FIXES[name](shown[None], low[None, :, first : first + shown.shape[1]])[0]
        above = restored[:, max(0, top + rows - reach) : top + rows].clone()
        restored[:, strip] = fixed[:, top - first : top - first + rows].clamp(0, 1)
