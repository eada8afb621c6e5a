"""Read the reference photos of one person, and name those that can't lead a restoration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from keepface.errors import PhotoError, RecipeError, ReferencePhotoError
from keepface.identity.embed import IdentityEmbedder, IdentityFeatures, outliers
from keepface.identity.recogniser import Recogniser
from keepface.image.files import Photo, photo_from_image, read_photo

Picture = Photo | Path | str | Image.Image
ANOTHER_PERSON = "shows another person than the other references"


@runtime_checkable
class Recognising(Protocol):
    """What is asked of a restorer here."""

    @property
    def embedder(self) -> IdentityEmbedder:
        """Make the features that lead the model."""
        ...

    @property
    def judge(self) -> Recogniser:
        """Judge results; it leads no model."""
        ...


@dataclass(frozen=True, eq=False)
class Reference:
    """One usable reference photo."""

    source: str
    features: IdentityFeatures
    judged: Float[Tensor, "d"]  # the judge's unit embedding
    weight: float


@dataclass(frozen=True)
class LeftOut:
    """A reference that was not used, and why."""

    source: str
    reason: str


@dataclass(frozen=True, eq=False)
class References:
    """All that is known of one person from their photos."""

    kept: tuple[Reference, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    person: str | None = None  # their name, where they come from the library of people

    @property
    def features(self) -> list[IdentityFeatures]:
        """Return the features of the kept references, in the order given."""
        return [reference.features for reference in self.kept]

    @property
    def weights(self) -> list[float]:
        """Return the weights of the kept references."""
        return [reference.weight for reference in self.kept]

    @property
    def recognised(self) -> Float[Tensor, "r d"]:
        """Return the embeddings by the recogniser that leads the model; there must be a reference."""
        return torch.stack([reference.features.recogniser for reference in self.kept])

    @property
    def judged(self) -> Float[Tensor, "r d"]:
        """Return the embeddings by the judge; there must be a reference."""
        return torch.stack([reference.judged for reference in self.kept])


def as_photo(picture: Picture) -> Photo:
    """Take a photo in any of the forms the public calls accept."""
    if isinstance(picture, Photo):
        return picture
    return photo_from_image(picture) if isinstance(picture, Image.Image) else read_photo(picture)


def gather_references(
    restorer: Recognising, pictures: Sequence[Picture], weights: Sequence[float] | None = None, strict: bool = False
) -> References:
    """Read and embed reference photos; one that can't be read, has no single face or shows somebody else is left out.

    Raises:
        ReferencePhotoError: none can be used, they contradict each other, or, with `strict`, any would be left out.
        RecipeError: weights that are not one number from 0 to 1 for each reference, with one above 0.
    """
    if not pictures:
        return References()
    shares = _checked(weights, len(pictures))
    read: list[Reference] = []
    left_out: list[LeftOut] = []
    for number, (picture, weight) in enumerate(zip(pictures, shares, strict=True), 1):
        source = str(picture) if isinstance(picture, Path | str) else f"reference {number}"
        try:
            photo = as_photo(picture)
            source = source if photo.source == "memory" else photo.source
            features = restorer.embedder.embed(photo)
            read.append(Reference(source, features, restorer.judge.embed(photo.pixels, features.face), weight))
        except (PhotoError, ReferencePhotoError) as error:
            left_out.append(LeftOut(source, str(error).removeprefix(f"{source}: ")))
    strangers = set(outliers([reference.features for reference in read]))
    if read and len(strangers) == len(read):
        names = ", ".join(reference.source for reference in read)
        raise ReferencePhotoError(f"{names}: these references show different people; give photos of one person")
    left_out += [LeftOut(read[index].source, ANOTHER_PERSON) for index in sorted(strangers)]
    kept = tuple(reference for index, reference in enumerate(read) if index not in strangers)
    _refuse(kept, left_out, strict)
    return References(kept, tuple(left_out))


def _checked(weights: Sequence[float] | None, count: int) -> Sequence[float]:
    shares = [1.0] * count if weights is None else list(weights)
    if len(shares) != count:
        raise RecipeError(f"there are {count} references and {len(shares)} weights; give one weight each, or none")
    if not all(0 <= share <= 1 for share in shares) or not any(shares):
        raise RecipeError(f"the references' weights are {shares}; each must be from 0 to 1, and one above 0")
    return shares


def _refuse(kept: Sequence[Reference], left_out: Sequence[LeftOut], strict: bool) -> None:
    reasons = "; ".join(f"{item.source}: {item.reason}" for item in left_out)
    if left_out and strict:
        raise ReferencePhotoError(f"refused, as asked by strict: {reasons}")
    if not any(reference.weight for reference in kept):
        raise ReferencePhotoError(f"no reference can be used: {reasons}")
