"""Photos of a person to what the model is told of them: one face, a recogniser's vector, an image network's features.

FaceMe takes pooled features of the face's box, RIDFR tokens of the face turned upright; both are made at once.

Features say who somebody is. They stay in memory unless a `FeatureCache` is given.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.errors import KeepfaceError, ReferencePhotoError, WeightsError
from keepface.faces.align import (
    FFHQ_SIDE,
    align_arcface,
    align_ffhq,
    ffhq_template,
    scale_of,
    similarity,
    template_face,
)
from keepface.faces.detect import Detector
from keepface.faces.face import Face, largest
from keepface.identity.compare import cosine
from keepface.identity.conditioning import ImageNetwork, Led, load_image_network, load_recogniser, sha256_of
from keepface.identity.image_encoder import INPUT_PX, crop_box
from keepface.identity.recogniser import Recogniser
from keepface.image.files import Photo
from keepface.weights.store import read_metadata, read_safetensors

# Cosine above which two photos show one person: one impostor pair in a hundred passes, measured on LFW.
# Not measured for insightface's packs, whose files do not come with keepface: ours, near SFace's.
SAME_PERSON = {"sface": 0.283, "facenet": 0.388, "antelopev2": 0.25, "buffalo_l": 0.25}
SIMILAR_SIZE = 0.6  # ours: a second face at least this wide, in widths of the largest, makes a reference ambiguous
OFF_TEMPLATE = 0.15  # ours: mean distance of a square's points from the template, in sides, beyond which it is no match
EXTRACTOR = "3"  # raised when detection, cropping or alignment change, so that older cached features are not found
LEAST_SQUARE, MOST_SQUARE = 256, 768  # px: sides of the squares that are kept of references


@runtime_checkable
class FaceFinder(Protocol):
    """What is asked of a detector here."""

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces of a picture (RGB, 0..1), largest first."""
        ...


@dataclass(frozen=True, eq=False)
class IdentityFeatures:
    """What one photo tells of a person; vectors lie on the CPU, the face is in pixels of that photo."""

    recogniser: Float[Tensor, "d1"]  # unit length
    image: Float[Tensor, "d2"]  # pooled features of the face's box
    face: Face
    provenance: dict[str, str]  # the networks and their SHA-256, channel order, and whether the face was detected
    tokens: Float[Tensor, "t c"] | None = None  # of the upright face; None in features that were made without
    square: UInt8[Tensor, "3 s s"] | None = None  # the face as an FFHQ square, RGB, at the photo's own detail if it can

    @property
    def vectors(self) -> tuple[Tensor, ...]:
        """Return what methods are led by: recogniser, image and, where there are any, tokens."""
        led_by = (self.recogniser, self.image)
        return led_by if self.tokens is None else (*led_by, self.tokens)


@dataclass(frozen=True, eq=False)
class SquareFace:
    """The face of an aligned square, and whether it was detected or supposed."""

    face: Face
    is_detected: bool


def square_face(image: Float[Tensor, "3 s s"], detector: FaceFinder, otherwise: Face | None = None) -> SquareFace:
    """Find the face of an aligned square: the detection nearest to the alignment template.

    When nothing is detected near the template the face is supposed to be `otherwise`, or the template for `None`.
    """
    size = image.shape[-1]
    template = template_face(size)

    def distance(face: Face) -> float:
        return float(np.linalg.norm(face.points - template.points, axis=1).mean()) / size

    near = [face for face in detector.detect(image) if distance(face) <= OFF_TEMPLATE]
    if near:
        return SquareFace(min(near, key=distance), True)
    return SquareFace(otherwise or template, False)


def reference_face(faces: Sequence[Face], source: str) -> Face:
    """Return the one face a reference photo is about: the largest, if no other is of a similar size.

    Raises:
        ReferencePhotoError: there is no face, or there are several of similar size; `source` names the photo.
    """
    if not faces:
        raise ReferencePhotoError(
            f"{source}: no face was found in this reference photo; give one in which the face is larger and clearer"
        )
    main = largest(faces)
    rivals = sorted((face.width for face in faces if face is not main), reverse=True)
    if rivals and rivals[0] >= SIMILAR_SIZE * main.width:
        raise ReferencePhotoError(
            f"{source}: this reference photo shows two faces of similar size ({main.width:.0f} and {rivals[0]:.0f} px "
            "wide); a reference must show one person: crop it to that person"
        )
    return main


class IdentityEmbedder:
    """Photos to identity features, with the networks that condition the model; it keeps no state between calls."""

    def __init__(
        self,
        detector: FaceFinder,
        recogniser: Recogniser,
        encoder: ImageNetwork,
        cache: "FeatureCache | None" = None,
    ) -> None:
        self.detector, self.recogniser, self.encoder, self.cache = detector, recogniser, encoder, cache

    @classmethod
    def load(cls, cache: "FeatureCache | None" = None, family: Led | None = None) -> "IdentityEmbedder":
        """Load the detector and the networks that lead `family`; `None` takes those that come with the package.

        Raises:
            WeightsError, MissingExtraError: as `load_recogniser` and `load_image_network`.
        """
        return cls(Detector(), load_recogniser(family), load_image_network(family), cache)

    @property
    def settings(self) -> dict[str, str]:
        """Everything but the picture that the features depend on."""
        swapped = getattr(self.recogniser, "swap_channels", False)
        return {
            "extractor": EXTRACTOR,
            "detector": type(self.detector).__name__,
            "recogniser": self.recogniser.name,
            "recogniser_sha256": sha256_of(self.recogniser),
            "channels": "bgr" if swapped else "rgb",
            "encoder": self.encoder.name,
            "encoder_sha256": sha256_of(self.encoder),
        }

    def embed(self, photo: Photo) -> IdentityFeatures:
        """Embed the one person a reference photo shows.

        Raises:
            ReferencePhotoError: no face, or two faces of similar size.
        """

        def find() -> SquareFace:
            return SquareFace(reference_face(self.detector.detect(photo.pixels), photo.source), True)

        return self._embed(photo.pixels, "photo", find)

    def embed_square(self, image: Float[Tensor, "3 s s"]) -> IdentityFeatures:
        """Embed the person of an aligned square; where no face is detected, the template says where it is."""
        return self._embed(image, "square", lambda: square_face(image, self.detector))

    def embed_face(self, image: Float[Tensor, "3 h w"], face: Face) -> IdentityFeatures:
        """Embed one detected face of a photo that may show others too; no cache is asked or written."""
        return self._features(image, SquareFace(face, True))

    def _embed(self, image: Tensor, kind: str, find: Callable[[], SquareFace]) -> IdentityFeatures:
        if self.cache is None:
            return self._features(image, find())
        key = _key(image, {**self.settings, "kind": kind})
        features = self.cache.read(key)
        if features is None:
            features = self._features(image, find())
            self.cache.write(key, features)
        return features

    def _features(self, image: Float[Tensor, "3 h w"], found: SquareFace) -> IdentityFeatures:
        face = found.face
        pooled, tokens = self.encoder.describe(crop_box(image, face.box), align_arcface(image, face.points, INPUT_PX))
        provenance = {**self.settings, "face": "detected" if found.is_detected else "template"}
        return IdentityFeatures(
            self.recogniser.embed(image, face), pooled, face, provenance, tokens, reference_square(image, face)
        )


def reference_square(image: Float[Tensor, "3 h w"], face: Face) -> UInt8[Tensor, "3 s s"]:
    """Cut a reference's face upright, as an FFHQ square of as many pixels as the photo holds, 256 to 768."""
    native = FFHQ_SIDE / scale_of(similarity(face.points, ffhq_template(FFHQ_SIDE)))
    side = int(min(MOST_SQUARE, max(LEAST_SQUARE, native)))
    crop = align_ffhq(image.detach().cpu(), face.points, side).crop
    return (crop * 255).round().to(torch.uint8)


class FeatureCache:
    """A folder of identity features by content: the names hold no hint of whose they are.

    A name is the SHA-256 of a picture's pixels and of the extractor's settings. Files and folder are for their owner
    alone. The features themselves say who somebody is: `clear` deletes them all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> IdentityFeatures | None:
        """Return the features kept under `key`, or `None` when there are none or the file is damaged."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            tensors, texts = read_safetensors(path), read_metadata(path)
            box = tuple(json.loads(texts["box"]))
            face = Face(box, tensors["points"].numpy(), float(texts["score"]))
            provenance = json.loads(texts["provenance"])
            recogniser, image = tensors["recogniser"], tensors["image"]
            return IdentityFeatures(recogniser, image, face, provenance, tensors.get("tokens"), tensors.get("square"))
        except (WeightsError, KeyError, ValueError):
            return None

    def write(self, key: str, features: IdentityFeatures) -> None:
        """Keep features under `key`; the file appears whole or not at all, readable by its owner only.

        Raises:
            KeepfaceError: the folder can't be written to.
        """
        tensors = {
            "recogniser": features.recogniser.contiguous(),
            "image": features.image.contiguous(),
            "points": torch.from_numpy(np.ascontiguousarray(features.face.points)),
        }
        for name, tensor in (("tokens", features.tokens), ("square", features.square)):
            if tensor is not None:
                tensors[name] = tensor.contiguous()
        texts = {
            "box": json.dumps([float(edge) for edge in features.face.box]),
            "score": repr(float(features.face.score)),
            "provenance": json.dumps(features.provenance),
        }
        aside = self.folder / f".{key}.{secrets.token_hex(4)}.part"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(safetensors.torch.save(tensors, metadata=texts))
            os.replace(aside, self._path(key))
        except OSError as error:
            reason = error.strerror or error
            raise KeepfaceError(f"{self.folder}: features can't be kept here: {reason}; name another folder") from None
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()

    def entries(self) -> list[Path]:
        """Return the files of kept features."""
        return sorted(self.folder.glob("*.safetensors"))

    def clear(self) -> int:
        """Delete all kept features, and what an interrupted write left; return how many entries there were."""
        entries = self.entries()
        for path in [*entries, *self.folder.glob(".*.part")]:
            path.unlink(missing_ok=True)
        return len(entries)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def outliers(features: Sequence[IdentityFeatures]) -> tuple[int, ...]:
    """Return the indices of references that look like somebody else than most of them do.

    References that pass for one person, directly or through others, form a group; all outside the largest group are
    named. When no group is the largest (two photos that disagree) all are named: nothing says which of them is right.
    """
    groups = _groups(features)
    if len(groups) < 2:
        return ()
    sizes = sorted((len(group) for group in groups), reverse=True)
    kept = max(groups, key=len) if sizes[0] > sizes[1] else set()
    return tuple(index for index in range(len(features)) if index not in kept)


def _groups(features: Sequence[IdentityFeatures]) -> list[set[int]]:
    groups: list[set[int]] = []
    for index, item in enumerate(features):
        floor = SAME_PERSON[item.provenance["recogniser"]]
        joined, apart = {index}, []
        for group in groups:
            nearest = max(float(cosine(item.recogniser, features[other].recogniser)) for other in group)
            if nearest >= floor:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return groups


def _key(image: Float[Tensor, "3 h w"], settings: dict[str, str]) -> str:
    text = json.dumps({**settings, "shape": list(image.shape)}, sort_keys=True)
    return hashlib.sha256(text.encode() + image.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()
