"""Identity features of upright crops, made by the networks that make those of reference photos."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import ffhq_template, invert, scale_of, similarity, template_face, transform
from keepface.faces.face import Face
from keepface.identity.image_encoder import POOLED_DIM, ImageEncoder, crop_box
from keepface.identity.recogniser import CONDITIONING, RECOGNISERS, Recogniser

SIDE = 512  # of the square that the template is taken for here; any will do


class CropFeatures:
    """Turn crops whose five points are known into the features that lead a model."""

    def __init__(self, recogniser: Recogniser, encoder: ImageEncoder) -> None:
        self._recogniser = recogniser
        # This layout of the weights halves the time on a CPU.
        self._encoder: ImageEncoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, device: torch.device | None = None) -> "CropFeatures":
        """Load the networks from their carrier packages; `device` is where the image network runs."""
        return cls(RECOGNISERS[CONDITIONING](), ImageEncoder.load().to(device or torch.device("cpu")))

    def names(self) -> dict[str, int]:
        """Say what the features are called and how long each is."""
        return {"recogniser": self._recogniser.dim, "image": POOLED_DIM}

    @torch.no_grad()
    def features(
        self, squares: Sequence[Float[Tensor, "3 _ _"]], landmarks: Sequence[Float[np.ndarray, "5 2"]]
    ) -> dict[str, Float[Tensor, "b _"]]:
        """Compute the features of crops (RGB, 0..1) of any sides; their five (x, y) points are in pixels of each."""
        faces = [face_of(points) for points in landmarks]
        boxes = torch.stack([crop_box(square, face.box) for square, face in zip(squares, faces, strict=True)])
        device = next(self._encoder.parameters()).device
        pooled = self._encoder.pooled(boxes.to(device, memory_format=torch.channels_last))
        embeddings = [self._recogniser.embed(square, face) for square, face in zip(squares, faces, strict=True)]
        return {"recogniser": torch.stack(embeddings), "image": pooled.float().cpu()}


def face_of(points: Float[np.ndarray, "5 2"]) -> Face:
    """Make a face of five points: its box is where detectors put it around such points."""
    template = template_face(SIDE)
    matrix = invert(similarity(points, ffhq_template(SIDE)))
    centre = transform(np.array([template.centre]), matrix)[0]
    wide, tall = template.width * scale_of(matrix) / 2, template.height * scale_of(matrix) / 2
    left, top, right, bottom = (float(edge) for edge in (*(centre - (wide, tall)), *(centre + (wide, tall))))
    return Face((left, top, right, bottom), points, 1.0)
