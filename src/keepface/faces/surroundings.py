"""Cut a face out of its photo with what is round it, as it stands there: not turned upright."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import FFHQ_SIDE, ffhq_template, invert, scale_of, similarity, transform, warp


def with_surroundings(
    image: Float[Tensor, "3 h w"], points: Float[np.ndarray, "5 2"], margin: float, sides: tuple[int, int]
) -> Float[Tensor, "3 s s"]:
    """Cut the square whose middle is that of the face's FFHQ square, `margin` times as wide, mirrored beyond the edge.

    Args:
        sides: the least and the greatest side of the result in pixels; between them it has the photo's own pixels.
    """
    matrix = similarity(points, ffhq_template(FFHQ_SIDE))
    middle = transform(np.full((1, 2), FFHQ_SIDE / 2 - 0.5), invert(matrix))[0]
    native = margin * FFHQ_SIDE / scale_of(matrix)
    side = round(min(max(native, sides[0]), sides[1]))
    scale = side / native
    straight = np.array(
        [[scale, 0.0, side / 2 - 0.5 - scale * middle[0]], [0.0, scale, side / 2 - 0.5 - scale * middle[1]]]
    )
    return warp(image, straight, side, "reflect")
