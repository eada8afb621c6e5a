"""Does a synthesised picture show its target's person? A recogniser that does not lead the model says so."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.data.pools import Likeness
from keepface.data.prepare import Pack
from keepface.identity.compare import cosine
from keepface.identity.crop_features import face_of
from keepface.identity.embed import FaceFinder, square_face
from keepface.identity.recogniser import Recogniser
from keepface.image.files import from_uint8

NOBODY = -1.0  # sameness of a picture without a face
REMEMBERED = 64  # targets whose embedding is kept; those of a batch follow one another


class PersonJudge:
    """Compare pictures with the photos of a pack, each cropped as its own face asks for."""

    def __init__(self, pack: Pack, recogniser: Recogniser, detector: FaceFinder) -> None:
        self._pack, self._recogniser, self._detector = pack, recogniser, detector
        self._target = lru_cache(REMEMBERED)(self._embed_target)

    def __call__(self, image: Float[Tensor, "3 s s"], target: int) -> Likeness:
        """Return the cosine with the person of photo `target`; where no face is found, the least there is."""
        found = square_face(image, self._detector)
        if not found.is_detected:
            return Likeness(NOBODY, found.face.points)
        sameness = float(cosine(self._recogniser.embed(image, found.face), self._target(target)))
        return Likeness(sameness, found.face.points)

    def _embed_target(self, target: int) -> Float[Tensor, "d"]:
        image: Tensor = from_uint8(self._pack.images[target].copy())
        embedding: Tensor = self._recogniser.embed(image, face_of(self._pack.landmarks[target]))
        return torch.as_tensor(embedding)
