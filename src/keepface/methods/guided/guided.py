"""The method `guided`: aligned squares and references' squares in, restored squares out, in one pass, without noise.

It belongs to no diffusion family: its weights are a model of their own, with a card in `weights/cards.toml`.
"""

from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.identity.embed import IdentityFeatures
from keepface.image.files import from_uint8
from keepface.image.size import resize
from keepface.methods.guided.beyond import with_reference_detail
from keepface.methods.guided.files import load_network, weights_file
from keepface.methods.guided.network import GuidedNetwork, GuidedOutput, PreparedReferences
from keepface.methods.method import Attribution, ReferenceSet
from keepface.weights.store import sha256

MOST_REFERENCES = 8  # more are cut off: four catch nearly all that references give  [ReF-LDM, Table 4]


def used(given: ReferenceSet) -> ReferenceSet:
    """Return the references that have a weight and a square, the heaviest `MOST_REFERENCES` of them."""
    pairs = zip(given.features, given.weights, strict=True)
    fit = [(item, weight) for item, weight in pairs if weight > 0 and item.square is not None]
    kept = sorted(fit, key=lambda pair: -pair[1])[:MOST_REFERENCES]
    return ReferenceSet(tuple(item for item, _ in kept), tuple(weight for _, weight in kept))


class Guided:
    """Restore squares by the pixels of references.

    What the network makes of a reference is kept as long as the reference's features are.
    """

    name = "guided"

    def __init__(self, network: GuidedNetwork, folder: Path | None = None) -> None:
        self.network, self.folder = network.eval().requires_grad_(False), folder
        self._prepared: WeakKeyDictionary[IdentityFeatures, PreparedReferences] = WeakKeyDictionary()

    @classmethod
    def load(cls, folder: Path | None = None, device: torch.device | None = None) -> "Guided":
        """Load the weights that come with the package, or those of a folder.

        Raises:
            WeightsError: they are missing, damaged, or another network's.
        """
        network = load_network(folder)
        network.to(device or torch.device("cpu")).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, folder)

    @property
    def size(self) -> int:
        """Return the side of the squares in pixels."""
        return self.network.size

    @property
    def device(self) -> torch.device:
        """Return where the network computes."""
        return next(self.network.parameters()).device

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the weights' file."""
        return sha256(weights_file(self.folder))

    @torch.no_grad()
    def restore(self, low: Float[Tensor, "3 s s"], references: ReferenceSet) -> GuidedOutput:
        """Restore one square (RGB, 0..1); an empty set restores by the photo alone."""
        kept, side = used(references), low.shape[-1]
        if kept.features:
            prepared = PreparedReferences.join([self._prepare(item) for item in kept.features])
        else:
            prepared = self.network.prepare(torch.zeros(1, 3, side, side, device=self.device))
        most = max(kept.weights, default=1.0)
        weights = torch.tensor([[weight / most for weight in kept.weights] or [0.0]], device=self.device)
        output: GuidedOutput = self.network(low[None].to(self.device), prepared, weights)
        return output

    @torch.no_grad()
    def restore_squares(
        self, low: Float[Tensor, "b 3 s s"], references: Sequence[ReferenceSet], fidelity: float = 0.0
    ) -> Float[Tensor, "b 3 s s"]:
        """Restore squares (RGB, 0..1), each by itself, so that none depends on its neighbours.

        Where all weights of a square are below 1, the result lies as far between that without references and that
        with them; `fidelity` (0..1) is the share of the degraded square itself.
        """
        restored = []
        for square, item in zip(low, references, strict=True):
            strength = max(used(item).weights, default=0.0)
            picture = (
                self.restore(square, item).picture if strength > 0 else self.restore(square, ReferenceSet()).picture
            )
            if 0 < strength < 1:
                picture = strength * picture + (1 - strength) * self.restore(square, ReferenceSet()).picture
            restored.append(picture[0].clamp(0, 1).float().cpu())
        made = torch.stack(restored) if restored else low.float().cpu()
        return torch.lerp(made, low.float().cpu(), fidelity)

    @torch.no_grad()
    def restore_large(self, low: Float[Tensor, "3 s s"], references: ReferenceSet, side: int) -> Float[Tensor, "3 t t"]:
        """Restore one square and enlarge it to `side`, with the references' detail that is finer than the network's."""
        output = self.restore(low, references)
        return with_reference_detail(output, [_pixels(item) for item in used(references).features], side)

    @torch.no_grad()
    def attribution(self, low: Float[Tensor, "3 s s"], references: ReferenceSet) -> Attribution:
        """Restore one square (RGB, 0..1) and say where each pixel came from; references without weight have share 0."""
        output = self.restore(low, references)
        alone = self.restore(low, ReferenceSet()).picture[0]
        share = output.match.share[0, :, 0]
        weight = output.match.trust[0]
        kept = used(references).features
        found = (share * weight).mean((1, 2)) / weight.mean().clamp(min=1e-6)
        by = {id(item): float(value) for item, value in zip(kept, found, strict=False)}
        shares = tuple(by.get(id(item), 0.0) for item in references.features) if kept else ()
        picture, alone = (made.clamp(0, 1).float().cpu() for made in (output.picture[0], alone))
        return Attribution(picture, alone, output.copied[0].cpu(), shares)

    def _prepare(self, item: IdentityFeatures) -> PreparedReferences:
        kept = self._prepared.get(item)
        if kept is None:
            square = resize(_pixels(item), (self.size, self.size), "bicubic")
            kept = self.network.prepare(square[None].to(self.device))
            self._prepared[item] = kept
        return kept


def _pixels(item: IdentityFeatures) -> Float[Tensor, "3 s s"]:
    """Return a reference's square as RGB, 0..1."""
    assert item.square is not None
    return from_uint8(item.square.permute(1, 2, 0).numpy())
