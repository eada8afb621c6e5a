"""The instruments of a run, with a detector that remembers: several metrics look at each picture."""

import hashlib
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from keepface.faces.face import Face
from keepface.identity.embed import FaceFinder
from keepface.metrics.table import Instruments

REMEMBERED = 512  # pictures; enough for the truths of a suite and the picture in hand


class RememberingFinder:
    """A detector that looks at each of the last pictures once."""

    def __init__(self, detector: FaceFinder, limit: int = REMEMBERED) -> None:
        self._detector, self._limit = detector, limit
        self._faces: OrderedDict[bytes, list[Face]] = OrderedDict()

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces of a picture (RGB, 0..1), largest first."""
        key = hashlib.sha256(repr(tuple(image.shape)).encode() + image.contiguous().numpy().tobytes()).digest()
        if key not in self._faces:
            self._faces[key] = self._detector.detect(image)
        self._faces.move_to_end(key)
        while len(self._faces) > self._limit:
            self._faces.popitem(last=False)
        return list(self._faces[key])


def load_instruments(metrics: Collection[str]) -> Instruments:
    """Load what the named metrics look through; each picture is searched for faces once."""
    loaded = Instruments.load(metrics)
    return replace(loaded, detector=RememberingFinder(loaded.detector))
