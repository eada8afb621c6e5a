"""Bring faces to common tones and back, so that light, colour cast and fading of a photo neither matter nor change.

    Huang and Belongie, ICCV 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization"  [AdaIN]

In luminance and two colour differences, a square's mean and spread inside the face become the same for all squares.
What is measured is measured on a picture averaged over areas, so that noise, screens and JPEG blocks do not count. The
way is affine: the network works between the two ends, and its result goes back to the photo's own tones.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# Luminance and colour differences of RGB, and back.  [ITU-R BT.601]
TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
TO_RGB = torch.linalg.inv(TO_YCC)
CENTRE = torch.tensor([0.5, -0.06, 0.08])  # ours: of a face in the common tones: grey 0.5, the colour of lit skin
SPREAD = 0.14  # ours: standard deviation of luminance in the common tones
LEAST_SPREAD = 0.005  # ours: of a photo's luminance; less can't be told from nothing and is not stretched further
MOST_COLOUR = 1.5  # ours: a reference's colours are strengthened no further than this to fit a photo's
FACE_CENTRE, FACE_RADII = (0.5, 0.53), (0.28, 0.36)  # of the ellipse of the face in an FFHQ square, in sides
AREAS = 16  # so many areas along the side are averaged before the picture is measured


@dataclass(frozen=True, eq=False)
class Tones:
    """A square's tones: mean of luminance and colour differences, spread of luminance, spread of colour."""

    mean: Float[Tensor, "b 3"]
    spread: Float[Tensor, "b"]
    colour: Float[Tensor, "b"]  # in the common tones

    @classmethod
    def of(cls, squares: Float[Tensor, "b 3 s s"]) -> "Tones":
        """Measure squares (RGB, 0..1) whose faces are aligned."""
        side = squares.shape[-1]
        window = max(1, side // AREAS)
        smooth = functional.avg_pool2d(to_ycc(squares), window)
        face = functional.avg_pool2d(face_ellipse(side, squares.device)[None], window)[0]
        area = face.sum()
        mean = (smooth * face).sum((-2, -1)) / area
        variance = ((smooth - mean[:, :, None, None]).square() * face).sum((-2, -1)) / area
        spread = variance[:, 0].sqrt().clamp(min=LEAST_SPREAD)
        colour = variance[:, 1:].sum(1).sqrt() * SPREAD / spread
        return cls(mean, spread, colour)

    def to_common(self, squares: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """Bring squares (RGB, 0..1) to the common tones, as -1..1; highlights may go beyond."""
        centred = to_ycc(squares) - self.mean[:, :, None, None]
        common = centred * (SPREAD / self.spread)[:, None, None, None] + CENTRE.to(squares)[:, None, None]
        return 2 * to_rgb(common) - 1

    def from_common(self, common: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """Bring squares back to these tones: RGB, 0..1 but for what goes beyond."""
        centred = to_ycc((common + 1) / 2) - CENTRE.to(common)[:, None, None]
        return to_rgb(centred * (self.spread / SPREAD)[:, None, None, None] + self.mean[:, :, None, None])


def fit_colour(
    references: Float[Tensor, "b k 3 s s"], own: Float[Tensor, "b k"], wanted: Float[Tensor, "b"]
) -> Float[Tensor, "b k 3 s s"]:
    """Weaken or strengthen the colours of references in the common tones (-1..1) to a photo's; grey stays grey.

    `own` and `wanted` are `Tones.colour` of the references and of the photo.
    """
    factor = (wanted[:, None] / own.clamp(min=1e-4)).clamp(max=MOST_COLOUR)[:, :, None, None, None]
    centre = CENTRE.to(references)[:, None, None]
    ycc = to_ycc((references + 1) / 2) - centre
    fitted = torch.cat([ycc[:, :, :1], ycc[:, :, 1:] * factor], 2) + centre
    return 2 * to_rgb(fitted) - 1


def face_ellipse(side: int, device: torch.device) -> Float[Tensor, "{side} {side}"]:
    """Return 1 inside the ellipse of the face of an aligned square, else 0."""
    at = (torch.arange(side, device=device) + 0.5) / side
    (x_0, y_0), (x_radius, y_radius) = FACE_CENTRE, FACE_RADII
    return ((((at[None] - x_0) / x_radius) ** 2 + ((at[:, None] - y_0) / y_radius) ** 2) < 1).float()


def to_ycc(rgb: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Return luminance (0..1) and two colour differences (-0.5..0.5). [ITU-R BT.601]"""
    return torch.einsum("dc,...chw->...dhw", TO_YCC.to(rgb), rgb)


def to_rgb(ycc: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Return the colours of luminance and colour differences. [ITU-R BT.601]"""
    return torch.einsum("dc,...chw->...dhw", TO_RGB.to(ycc), ycc)
