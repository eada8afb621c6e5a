"""Drawn faces for the guided network: an ellipse with eyes and a mouth, on noise that is smooth."""

import torch
from torch import Tensor
from torch.nn import functional

from keepface.faces.align import template_face
from keepface.identity.embed import IdentityFeatures
from keepface.methods.guided.tones import face_ellipse


def faces_of(count: int, side: int, seed: int = 0) -> Tensor:
    """Return squares (RGB, 0.15..0.85) with a face where alignment puts it."""
    rng = torch.Generator().manual_seed(seed)
    ground = functional.interpolate(torch.rand(count, 3, 12, 12, generator=rng), side, mode="bilinear")
    skin = torch.rand(count, 3, 1, 1, generator=rng)
    face = face_ellipse(side, torch.device("cpu"))
    squares = 0.15 + 0.7 * (ground * (1 - 0.5 * face) + 0.5 * face * skin)
    for x, y in template_face(side).points:
        left, top, reach = int(x), int(y), max(1, side // 32)
        squares[..., top - reach : top + reach, left - reach : left + reach] *= 0.4
    return squares


def reference(seed: int, side: int = 300) -> IdentityFeatures:
    """Return the features of a drawn face, of which the guided method looks at the square alone."""
    square = (faces_of(1, side, seed)[0] * 255).round().to(torch.uint8)
    return IdentityFeatures(torch.ones(1), torch.ones(1), template_face(side), {}, None, square)
