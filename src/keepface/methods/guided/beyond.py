"""Detail beyond the network's 256 px: what is finer in the references' own pixels, led by the same flow.

The flow, the shares and the trust are smooth, so they hold for larger squares as well. Only frequencies that a square
of the network's side can't hold are added, in luminance, where the network copied from the references.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.image.size import resize
from keepface.methods.guided.layers import enlarge, warp
from keepface.methods.guided.network import GuidedOutput
from keepface.methods.guided.tones import Tones, to_ycc


def finer_than(square: Float[Tensor, "c s s"], side: int) -> Float[Tensor, "c s s"]:
    """Return what of a square is lost where it is shrunk to `side` pixels and enlarged again."""
    own = square.shape[-1]
    if own <= side:
        return torch.zeros_like(square)
    return square - resize(resize(square, (side, side), "bicubic"), (own, own), "bicubic")


def with_reference_detail(
    output: GuidedOutput, references: Sequence[Float[Tensor, "3 _ _"]], side: int
) -> Float[Tensor, "3 {side} {side}"]:
    """Enlarge the one square of an output to `side` and add the references' finer detail (RGB, 0..1).

    `references` are the squares of all references of the output, in order, at whatever side they have; those that are
    no larger than the network's square have nothing finer to give.
    """
    small = output.picture.shape[-1]
    enlarged = resize(output.picture[0].clamp(0, 1).cpu(), (side, side), "bicubic")
    flow, share = (enlarge(maps[0].float().cpu(), side) for maps in (output.match.flow, output.match.share))
    copied = enlarge(output.copied.float().cpu(), side)[0]
    added = torch.zeros(1, side, side)
    for number, reference in enumerate(references):
        if reference.shape[-1] <= small:
            continue
        luma = resize(to_ycc(reference)[:1], (side, side), "bicubic")
        gain = output.tones.spread.cpu() / Tones.of(resize(reference, (small, small), "bicubic")[None]).spread
        finer = warp(finer_than(luma, small)[None], flow[number : number + 1])[0]
        added += share[number] * gain * finer
    return (enlarged + copied * added).clamp(0, 1)
