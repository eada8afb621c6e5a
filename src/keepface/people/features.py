"""What the networks make of a person's photos, and its way to bytes and back: safetensors that name the networks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.errors import KeepfaceError
from keepface.faces.face import Face
from keepface.identity.compare import cosine
from keepface.identity.embed import SAME_PERSON, IdentityEmbedder, IdentityFeatures, outliers
from keepface.identity.recogniser import JUDGE, RECOGNISERS, Recogniser
from keepface.image.files import Photo
from keepface.people.person import ReferencePhoto
from keepface.weights.cards import cards

LENGTH_BYTES = 8  # of a safetensors header's length, which comes first
DAMAGED = (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True, eq=False)
class PhotoFeatures:
    """All that is kept of one photo beside the photo."""

    features: IdentityFeatures
    judged: Float[Tensor, "d"]  # the judge's unit embedding
    judge: str  # its name and SHA-256


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks that know persons: those that lead a model, and the one that judges results."""

    embedder: IdentityEmbedder
    judge: Recogniser

    @classmethod
    def load(cls) -> "Networks":
        """Load them from their carrier packages."""
        return cls(IdentityEmbedder.load(), RECOGNISERS[JUDGE]())

    def embed(self, photo: Photo) -> PhotoFeatures:
        """Embed the one person a photo shows.

        Raises:
            ReferencePhotoError: no face, or two faces of similar size.
        """
        features = self.embedder.embed(photo)
        return PhotoFeatures(features, self.judge.embed(photo.pixels, features.face), self._judge)

    def made(self, kept: PhotoFeatures) -> bool:
        """Tell whether features were made by these very networks, so that they need not be made again."""
        provenance = {name: value for name, value in kept.features.provenance.items() if name != "face"}
        return provenance == self.embedder.settings and kept.judge == self._judge

    @property
    def _judge(self) -> str:
        return f"{self.judge.name} {cards()[self.judge.name].sha256}"


@dataclass(frozen=True, eq=False)
class Known:
    """The photos of a person with their features, and those that gave none, with the reason."""

    photos: tuple[tuple[ReferencePhoto, PhotoFeatures], ...]
    problems: tuple[tuple[ReferencePhoto, str], ...]


def to_bytes(kept: PhotoFeatures) -> bytes:
    """Write features as the bytes of a safetensors file."""
    face = kept.features.face
    tensors = {
        "recogniser": kept.features.recogniser,
        "image": kept.features.image,
        "judged": kept.judged,
        "points": torch.from_numpy(np.array(face.points)),
        "box": torch.tensor(face.box, dtype=torch.float64),
        "score": torch.tensor(face.score, dtype=torch.float64),
    }
    for name, tensor in (("tokens", kept.features.tokens), ("square", kept.features.square)):
        if tensor is not None:
            tensors[name] = tensor
    texts = {"provenance": json.dumps(kept.features.provenance), "judge": kept.judge}
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=texts)


def from_bytes(data: bytes) -> PhotoFeatures:
    """Read back what `to_bytes` wrote.

    Raises:
        KeepfaceError: the bytes are damaged.
    """
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        texts = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])["__metadata__"]
        left, top, right, bottom = tensors["box"].tolist()
        face = Face((left, top, right, bottom), tensors["points"].numpy(), float(tensors["score"]))
        provenance = dict(json.loads(texts["provenance"]))
        more = tensors.get("tokens"), tensors.get("square")
        features = IdentityFeatures(tensors["recogniser"], tensors["image"], face, provenance, *more)
        return PhotoFeatures(features, tensors["judged"], str(texts["judge"]))
    except DAMAGED as error:
        raise KeepfaceError(f"features of a photo are damaged ({error}); they must be made again") from None


def strangers(known: Sequence[IdentityFeatures], new: Sequence[IdentityFeatures]) -> tuple[int, ...]:
    """Return the indices of `new` that do not look like the person of `known`, directly or through others of `new`.

    With nothing known the largest group of `new` is taken for the person, as `keepface.identity.embed.outliers` does.
    """
    if not known:
        return outliers(new)
    accepted, waiting = list(known), dict(enumerate(new))
    while joined := [index for index, item in waiting.items() if is_like(item, accepted)]:
        accepted += [waiting.pop(index) for index in joined]
    return tuple(waiting)


def is_like(item: IdentityFeatures, others: Sequence[IdentityFeatures]) -> bool:
    """Tell whether features pass for the same person as any of the others."""
    floor = SAME_PERSON[item.provenance["recogniser"]]
    return any(float(cosine(item.recogniser, other.recogniser)) >= floor for other in others)
