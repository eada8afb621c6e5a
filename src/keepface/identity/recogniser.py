"""Frozen face recognisers: a face in a picture to a unit vector that says who it is.

One recogniser conditions the model, others judge the result; a result is never judged by the net it was led by.
"""

import threading
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from keepface.faces.align import align_arcface
from keepface.faces.face import Face
from keepface.weights.store import find

FACENET_PX = 160
FACENET_MARGIN = 0.1  # of the box on each side: 20 % more in all, measured best for this net on LFW


@runtime_checkable
class Recogniser(Protocol):
    """What a recogniser offers."""

    name: str
    dim: int

    def embed(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "d"]:
        """Return the unit embedding of `face` in `image` (RGB, 0..1)."""
        ...


class SFace:
    """SFace, 128-D, on the five-point 112 px alignment; it conditions the model.

    Args:
        swap_channels: feed BGR where the net was trained on RGB. FaceMe's released code swaps the channels of its
            own recogniser; weights trained that way need the same swap. Ours are trained without.
    """

    name = "sface"
    dim = 128

    def __init__(self, swap_channels: bool = False) -> None:
        self._net = Network(cv2.dnn.readNetFromONNX(str(find("sface"))), "data")
        self.swap_channels = swap_channels

    def embed(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "d"]:
        """Return the unit embedding of `face` in `image` (RGB, 0..1)."""
        crop = to_bytes(align_arcface(image, face.points))
        if self.swap_channels:
            crop = np.ascontiguousarray(crop[..., ::-1])
        return unit(self._net(cv2.dnn.blobFromImage(crop)))


class FaceNet:
    """FaceNet (Inception-ResNet-v1, CASIA-WebFace), 512-D, on the detector's box; it judges results."""

    name = "facenet"
    dim = 512

    def __init__(self) -> None:
        self._net = Network(cv2.dnn.readNetFromTensorflow(str(find("facenet"))), "")

    def embed(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "d"]:
        """Return the unit embedding of `face` in `image` (RGB, 0..1)."""
        crop = _box_crop(image, face.box, FACENET_MARGIN, FACENET_PX)
        return unit(self._net(cv2.dnn.blobFromImage(crop, 1 / 128, mean=(127.5, 127.5, 127.5))))


RECOGNISERS: dict[str, type[SFace] | type[FaceNet]] = {"sface": SFace, "facenet": FaceNet}
CONDITIONING = "sface"
JUDGE = "facenet"


class Network:
    """A cv2.dnn network behind a lock: such a network is not safe to run from two threads."""

    def __init__(self, net: cv2.dnn.Net, input_name: str) -> None:
        self._net, self._input, self._lock = net, input_name, threading.Lock()

    def __call__(self, blob: Float[np.ndarray, "1 3 s s"]) -> Float[np.ndarray, "d"]:
        """Run the network on one input and return its first output."""
        with self._lock:
            self._net.setInput(blob, self._input)
            return np.array(self._net.forward()[0], dtype=np.float32)


def unit(vector: Float[np.ndarray, "d"]) -> Float[Tensor, "d"]:
    """Bring an embedding to length 1."""
    return torch.from_numpy(vector / max(float(np.linalg.norm(vector)), 1e-12))


def to_bytes(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Turn a picture (RGB, 0..1) into rows of 8-bit pixels, as cv2 takes them."""
    return np.ascontiguousarray((image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _box_crop(
    image: Float[Tensor, "3 h w"], box: tuple[float, float, float, float], margin: float, size: int
) -> UInt8[np.ndarray, "s s 3"]:
    left, top, right, bottom = box
    wide, tall = (right - left) * margin, (bottom - top) * margin
    source = np.array([[left - wide, top - tall], [right + wide, top - tall], [left - wide, bottom + tall]], np.float32)
    target = np.array([[0, 0], [size, 0], [0, size]], np.float32)
    picture = to_bytes(image)
    shrink = (right - left) * (1 + 2 * margin) / size
    if shrink > 1.5:  # the warp below samples points; averaging first keeps it from aliasing
        tall_px, wide_px = picture.shape[:2]
        small = (max(1, round(wide_px / shrink)), max(1, round(tall_px / shrink)))
        source *= np.array([small[0] / wide_px, small[1] / tall_px], np.float32)
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    matrix = cv2.getAffineTransform(source, target)
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
