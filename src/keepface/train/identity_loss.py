"""A further loss of a method's phase: its predicted pictures shall look like their person.  # ours

No paper here has one; it is asked for by a recipe's `[loss] identity`, and the family's history tells its weight.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.diffusion import latents
from keepface.diffusion.family import Family
from keepface.identity.differentiable import DifferentiableSFace
from keepface.methods.method import TrainBatch

ITEMS = 4  # of a batch; each costs a twelfth of a second on two CPU cores, to decode and to recognise
LAST_T = 800  # of 1000: from more noise than this no face is predicted that could be recognised


class IdentityLoss:
    """Weighted 1 - cosine of the conditioning recogniser's embeddings, predicted picture to truth."""

    def __init__(self, family: Family, weight: float) -> None:
        self._family, self._weight = family, weight
        self._recogniser = DifferentiableSFace().to(family.device)

    def __call__(self, x_0: Float[Tensor, "b c h w"], batch: TrainBatch) -> Float[Tensor, ""]:
        """Return weight * mean(1 - cosine) over the first items that have references and noise below `LAST_T`."""
        chosen = (batch.has_reference.any(1) & (batch.t < LAST_T)).nonzero()[:ITEMS, 0]
        if not len(chosen):
            return x_0.sum() * 0
        truth = batch.clean[chosen].to(self._family.device, torch.float32)
        pictures = latents.decode(self._family.vae, self._family.card.latent_scale, x_0[chosen.to(x_0.device)])
        with torch.no_grad():
            wanted = self._recogniser(truth)
        cosine: Tensor = (self._recogniser(pictures.float()) * wanted).sum(1)
        return self._weight * (1 - cosine).mean()
