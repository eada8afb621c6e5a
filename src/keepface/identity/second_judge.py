"""The second judge of identity: dlib's ResNet-29, which shares neither layers nor pictures with the other recognisers.

    King 2017, "High Quality Face Recognition with Deep Metric Learning", dlib's own account of the net  [dlib]

It runs in dlib (`pip install 'keepface[judges]'`). Its descriptors are no unit vectors: two faces are compared by the
Euclidean distance, and below 0.6 they are taken for one person. [dlib]
"""

import threading
from importlib import import_module
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.errors import MissingExtraError
from keepface.faces.face import Face
from keepface.identity.recogniser import to_bytes
from keepface.weights.store import find

SAME_PERSON_BELOW = 0.6  # [dlib]
CHIP_PX, CHIP_PADDING = 150, 0.25  # of the crop that the net was trained on [dlib]


@runtime_checkable
class Describer(Protocol):
    """What turns a face into numbers whose Euclidean distance says how unlike two faces are."""

    def describe(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "d"]:
        """Return the descriptor of `face` in `image` (RGB, 0..1)."""
        ...


class SecondJudge:
    """dlib's ResNet-29, 128-D; it judges results and never leads or trains a model."""

    name = "dlib"
    dim = 128

    def __init__(self) -> None:
        """Load the net and the five-point predictor that turns faces upright for it.

        Raises:
            MissingExtraError: dlib is not installed.
            WeightsError: a file of weights is not there or is another one.
        """
        try:
            self._dlib = import_module("dlib")
        except ImportError:
            raise MissingExtraError(
                "the second judge of identity runs in dlib, which is not installed: pip install 'keepface[judges]'"
            ) from None
        self._points = self._dlib.shape_predictor(str(find("dlib-five-points")))
        self._net = self._dlib.face_recognition_model_v1(str(find("dlib-resnet")))
        self._lock = threading.Lock()  # dlib's nets keep their last activations

    def describe(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "128"]:
        """Return the descriptor of `face` in `image` (RGB, 0..1): box, five points, upright chip, net. [dlib]

        The five points that turn the face are dlib's own (the corners of the eyes and the nose's base), looked for in
        `face`'s box, as published: the net was trained on chips that they made.
        """
        pixels = to_bytes(image)
        box = self._dlib.rectangle(*(round(float(edge)) for edge in face.box))
        with self._lock:
            shape = self._points(pixels, box)
            chip = self._dlib.get_face_chip(pixels, shape, size=CHIP_PX, padding=CHIP_PADDING)
            described = self._net.compute_face_descriptor(chip)
        return torch.from_numpy(np.array(described, dtype=np.float32))
