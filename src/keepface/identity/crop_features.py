"""Identity features of upright crops, made by the networks that make those of reference photos."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import (
    align_arcface,
    ffhq_template,
    invert,
    scale_of,
    similarity,
    template_face,
    transform,
)
from keepface.faces.face import Face
from keepface.identity.clip import ClipVision
from keepface.identity.conditioning import Led, load_image_network, load_recogniser
from keepface.identity.image_encoder import INPUT_PX, ImageEncoder, crop_box
from keepface.identity.recogniser import Recogniser

SIDE = 512  # of the square that the template is taken for here; any will do


class CropFeatures:
    """Turn crops whose five points are known into the features that lead a model."""

    def __init__(self, recogniser: Recogniser, encoder: ImageEncoder | ClipVision) -> None:
        self._recogniser, self._encoder = recogniser, encoder
        network = encoder if isinstance(encoder, ImageEncoder) else encoder.network
        # This layout of the weights halves the time on a CPU.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = next(network.parameters()).device

    @classmethod
    def load(cls, device: torch.device | None = None, family: Led | None = None) -> "CropFeatures":
        """Load the networks that lead `family`; `None` takes those that come with the package.

        `device` is where the image network runs.

        Raises:
            WeightsError, MissingExtraError: as `load_recogniser` and `load_image_network`.
        """
        return cls(load_recogniser(family), load_image_network(family).to(device or torch.device("cpu")))

    def names(self) -> dict[str, int]:
        """Say what the features are called and how long each is."""
        return {"recogniser": self._recogniser.dim, "image": self._encoder.pooled_dim}

    @torch.no_grad()
    def features(
        self, squares: Sequence[Float[Tensor, "3 _ _"]], landmarks: Sequence[Float[np.ndarray, "5 2"]]
    ) -> dict[str, Float[Tensor, "b _"]]:
        """Compute the features of crops (RGB, 0..1) of any sides; their five (x, y) points are in pixels of each."""
        faces = [face_of(points) for points in landmarks]
        boxes = [crop_box(square, face.box) for square, face in zip(squares, faces, strict=True)]
        pooled = self._encoder.pooled(self._placed(boxes))
        return {"recogniser": self._embeddings(squares, faces), "image": pooled.float().cpu()}

    @torch.no_grad()
    def tokens(
        self, squares: Sequence[Float[Tensor, "3 _ _"]], landmarks: Sequence[Float[np.ndarray, "5 2"]]
    ) -> dict[str, Float[Tensor, "b ..."]]:
        """Compute recogniser vectors and image tokens of crops; tokens take too much room for packs."""
        upright = [align_arcface(square, points, INPUT_PX) for square, points in zip(squares, landmarks, strict=True)]
        found = self._encoder.tokens(self._placed(upright))
        faces = [face_of(points) for points in landmarks]
        return {"recogniser": self._embeddings(squares, faces), "tokens": found.float().cpu()}

    def _placed(self, crops: Sequence[Float[Tensor, "3 p p"]]) -> Float[Tensor, "b 3 p p"]:
        return torch.stack(list(crops)).to(self._device, memory_format=torch.channels_last)

    def _embeddings(self, squares: Sequence[Float[Tensor, "3 _ _"]], faces: Sequence[Face]) -> Float[Tensor, "b d"]:
        return torch.stack([self._recogniser.embed(square, face) for square, face in zip(squares, faces, strict=True)])


def face_of(points: Float[np.ndarray, "5 2"]) -> Face:
    """Make a face of five points: its box is where detectors put it around such points."""
    template = template_face(SIDE)
    matrix = invert(similarity(points, ffhq_template(SIDE)))
    centre = transform(np.array([template.centre]), matrix)[0]
    wide, tall = template.width * scale_of(matrix) / 2, template.height * scale_of(matrix) / 2
    left, top, right, bottom = (float(edge) for edge in (*(centre - (wide, tall)), *(centre + (wide, tall))))
    return Face((left, top, right, bottom), points, 1.0)
