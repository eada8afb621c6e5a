"""Identity features of prepared crops, made by the networks that make those of reference photos."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import ffhq_template, invert, scale_of, similarity, template_face, transform
from keepface.faces.face import Face
from keepface.identity.image_encoder import POOLED_DIM, ImageEncoder, crop_box
from keepface.identity.recogniser import CONDITIONING, RECOGNISERS, Recogniser

SIDE = 512  # of the square that the template is taken for here; any will do


class PackFeatures:
    """Turn crops whose five points are known into the features that lead a model."""

    def __init__(self, recogniser: Recogniser, encoder: ImageEncoder) -> None:
        self._recogniser, self._encoder = recogniser, encoder

    @classmethod
    def load(cls) -> "PackFeatures":
        """Load the networks from their carrier packages."""
        return cls(RECOGNISERS[CONDITIONING](), ImageEncoder.load())

    def names(self) -> dict[str, int]:
        """Say what the features are called and how long each is."""
        return {"recogniser": self._recogniser.dim, "image": POOLED_DIM}

    @torch.no_grad()
    def features(
        self, square_with_margin: Float[Tensor, "3 s s"], landmarks: Float[np.ndarray, "5 2"]
    ) -> dict[str, Tensor]:
        """Compute the features of one crop; `landmarks` are its five (x, y) points in pixels."""
        face = face_of(landmarks)
        pooled = self._encoder.pooled(crop_box(square_with_margin, face.box)[None])[0]
        return {"recogniser": self._recogniser.embed(square_with_margin, face), "image": pooled}


def face_of(points: Float[np.ndarray, "5 2"]) -> Face:
    """Make a face of five points: its box is where detectors put it around such points."""
    template = template_face(SIDE)
    matrix = invert(similarity(points, ffhq_template(SIDE)))
    centre = transform(np.array([template.centre]), matrix)[0]
    wide, tall = template.width * scale_of(matrix) / 2, template.height * scale_of(matrix) / 2
    left, top, right, bottom = (float(edge) for edge in (*(centre - (wide, tall)), *(centre + (wide, tall))))
    return Face((left, top, right, bottom), points, 1.0)
