"""Per pixel, of a face that a one-pass method restored: photo, references, invention; and from which reference.

The network itself says how much of each pixel it took from the references, and from which of them. The rest is split
between the photo and what the network made of it without references; see docs/evidence.md.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.consistency import fit_blur, inner
from keepface.engine.evidence import UNSEEN, WINDOW, Evidence, Shares, spread_out
from keepface.engine.photo import Look
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.image.gaussian import gaussian
from keepface.methods.method import Attribution, OnePass, ReferenceSet


@torch.no_grad()
def one_pass_evidence(method: OnePass, look: Look, best: Restoration, settings: RestoreSettings) -> Restoration:
    """Return a restoration with its evidence; the networks run once more for each face that was restored."""
    maps, numbers, matrices = [], [], []
    places = [place for place, plan in enumerate(look.plans) if plan.is_restored]
    for number, place in enumerate(places):
        if not best.faces[place].restored:
            continue
        references, low = look.led_by[number], look.squares[number]
        plan = look.plans[place].settings(settings)
        weights = tuple(plan.identity * weight for weight in references.weights)
        found = method.attribution(low, ReferenceSet(tuple(references.features), weights))
        maps.append(one_pass_maps(low, found))
        numbers.append(_shares(place, maps[-1], low, found))
        matrices += [] if look.is_aligned else [look.matrices[number]]
    size = (best.image.pixels.shape[1], best.image.pixels.shape[2])
    whole = maps[0] if look.is_aligned and maps else spread_out(size, maps, matrices)
    return replace(best, evidence=Evidence(whole, tuple(numbers), 1))


def one_pass_maps(low: Float[Tensor, "3 s s"], found: Attribution) -> Float[Tensor, "3 s s"]:
    """Split each pixel among photo, references and invention.

    With C the share copied from references, l the degraded square, z the result without references, W* a Gaussian
    window:  references R = C;  of the rest, the photo has P / (P + I) and invention I / (P + I), where
        I = W * |z - l|^2,  P = W * |l - W * l|^2 + UNSEEN^2,  each a mean over the three channels.
    """
    sigma = WINDOW * low.shape[-1]
    invented = _power(found.alone - low, sigma)
    photo = _power(low - gaussian(low[None], sigma)[0], sigma) + UNSEEN**2
    copied = found.copied[0].clamp(0, 1)
    rest = (1 - copied) / (photo + invented)
    return torch.stack([photo * rest, copied, invented * rest])


def _shares(face: int, maps: Float[Tensor, "3 s s"], low: Float[Tensor, "3 s s"], found: Attribution) -> Shares:
    photo, references, invented = inner(maps[None])[0].mean((1, 2)).tolist()
    made = found.picture[None]
    blurred = inner(gaussian(made, fit_blur(low, made)))
    before, after = (pixels.double().var((2, 3)).sum() for pixels in (inner(made), blurred))
    finer = float((1 - after / before.clamp_min(1e-12)).clamp(0, 1))
    return Shares(face, photo, references, invented, finer, found.by_reference)


def _power(values: Float[Tensor, "3 s s"], sigma: float) -> Float[Tensor, "s s"]:
    return gaussian(values.square()[None], sigma)[0].mean(0)
