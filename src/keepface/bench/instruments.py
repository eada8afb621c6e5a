"""The instruments of a run, with a detector and a judge that remember: several metrics look at each picture."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from keepface.faces.face import Face
from keepface.identity.second_judge import Describer
from keepface.metrics.sameness import PointFinder
from keepface.metrics.table import Instruments

Value = TypeVar("Value")
REMEMBERED = 512  # pictures; enough for the truths of a suite and the picture in hand


class RememberingFinder:
    """A detector that looks at each of the last pictures once."""

    def __init__(self, detector: PointFinder, limit: int = REMEMBERED) -> None:
        self._detector, self._limit = detector, limit
        self._faces: OrderedDict[bytes, list[Face]] = OrderedDict()

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces of a picture (RGB, 0..1), largest first."""
        faces = _remembered(self._faces, _key(image), lambda: self._detector.detect(image), self._limit)
        return list(faces)

    def look_again(self, image: Float[Tensor, "3 h w"], face: Face) -> Face:
        """Return `face` with the points that are seen in its place."""
        return self._detector.look_again(image, face)


class RememberingDescriber:
    """A judge that describes each face of the last pictures once."""

    def __init__(self, describer: Describer, limit: int = REMEMBERED) -> None:
        self._describer, self._limit = describer, limit
        self._described: OrderedDict[bytes, Tensor] = OrderedDict()

    def describe(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "d"]:
        """Return the descriptor of `face` in `image` (RGB, 0..1)."""
        key = _key(image) + repr([float(edge) for edge in face.box]).encode() + face.points.tobytes()
        return _remembered(self._described, key, lambda: self._describer.describe(image, face), self._limit).clone()


def _key(image: Float[Tensor, "3 h w"]) -> bytes:
    return hashlib.sha256(repr(tuple(image.shape)).encode() + image.contiguous().numpy().tobytes()).digest()


def _remembered(known: OrderedDict[bytes, Value], key: bytes, make: Callable[[], Value], limit: int) -> Value:
    """Return what is known of a key, or make it; the `limit` keys asked for last are kept."""
    if key not in known:
        known[key] = make()
    known.move_to_end(key)
    while len(known) > limit:
        known.popitem(last=False)
    return known[key]


def load_instruments(metrics: Collection[str]) -> Instruments:
    """Load what the named metrics look through; each picture is searched for faces once."""
    loaded = Instruments.load(metrics)
    judge = loaded.second_judge and RememberingDescriber(loaded.second_judge)
    return replace(loaded, detector=RememberingFinder(loaded.detector), second_judge=judge)
