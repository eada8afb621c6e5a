"""The frozen networks that lead a family, as its card names them.

Those of the family that comes with the package are installed with it; those of the families of published weights are
in the family's own folder: recogniser/ and image_encoder/.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from keepface.diffusion.family import IMAGE_ENCODER, RECOGNISER, FamilyCard, locate, read_card
from keepface.errors import WeightsError
from keepface.identity.arcface import FILES, ArcFace
from keepface.identity.clip import TOKENS, ClipVision
from keepface.identity.image_encoder import NAME, ImageEncoder
from keepface.identity.recogniser import CONDITIONING, JUDGE, Recogniser, SFace
from keepface.weights.cards import cards


@runtime_checkable
class ImageNetwork(Protocol):
    """What an image network offers."""

    name: str

    def describe(
        self, boxed: Float[Tensor, "3 s s"], upright: Float[Tensor, "3 s s"]
    ) -> tuple[Float[Tensor, "d"], Float[Tensor, "t c"] | None]:
        """Return the pooled features of a face's box and the tokens of the upright face; `None` if nobody asks."""
        ...


@runtime_checkable
class Led(Protocol):
    """What is asked of a family here: its card, and the folder where its own networks are."""

    card: FamilyCard
    folder: Path | None


@dataclass
class Described:
    """A family's card and folder, without its networks."""

    card: FamilyCard
    folder: Path | None


def describe(name_or_path: str | Path) -> Described:
    """Find a family and read its card; its networks are not loaded.

    Raises:
        WeightsError: there is no such family.
    """
    folder = locate(name_or_path)
    return Described(read_card(folder), folder)


def load_recogniser(family: Led | None = None) -> Recogniser:
    """Load the recogniser that leads a family; `None` is the one that comes with the package.

    Raises:
        WeightsError: it is the judge, which leads no model; or it is unknown, or not in the family's folder.
    """
    name = family.card.recogniser if family else CONDITIONING
    swap_channels = bool(family and family.card.quirks.swaps_channels)
    if name == JUDGE:
        raise WeightsError(f"family {family and family.card.name!r}: {name} judges results, so it can't lead a model")
    if name == SFace.name:
        return SFace(swap_channels)
    if family is None or family.folder is None or name not in FILES:
        known = ", ".join((SFace.name, *FILES))
        raise WeightsError(f"recogniser {name!r} leads this family; it is not one of {known}, or there is no folder")
    return ArcFace(name, family.folder / RECOGNISER, swap_channels)


def load_image_network(family: Led | None = None) -> ImageEncoder | ClipVision:
    """Load the image network that leads a family; `None` is the one that comes with the package.

    Raises:
        MissingExtraError: it needs transformers.
        WeightsError: it is unknown, or not in the family's folder.
    """
    name = family.card.image_encoder if family else NAME
    if name == NAME:
        return ImageEncoder.load()
    if family is None or family.folder is None or name not in TOKENS:
        known = ", ".join((NAME, *TOKENS))
        raise WeightsError(f"image network {name!r} leads this family; it is not one of {known}, or there is no folder")
    return ClipVision(name, family.folder / IMAGE_ENCODER)


def sha256_of(network: Recogniser | ImageNetwork) -> str:
    """Return the hash of a network's weights: its card's, or that of the family's own file."""
    card = cards().get(network.name)
    return card.sha256 if card else str(getattr(network, "sha256", ""))
