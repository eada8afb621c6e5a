"""A recogniser of insightface's packs, read from a family's folder; it conditions the families of published weights.

Deng et al. 2019, "ArcFace: Additive angular margin loss for deep face recognition"  [ArcFace]
"""

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.errors import WeightsError
from keepface.faces.align import ARCFACE_SIDE, align_arcface
from keepface.faces.face import Face
from keepface.identity.recogniser import Network, to_bytes, unit
from keepface.weights.store import sha256

FILES = {"antelopev2": "glintr100.onnx", "buffalo_l": "w600k_r50.onnx"}  # the recogniser of each pack


class ArcFace:
    """A recogniser of a pack, on the five-point 112 px alignment, its input (x - 127.5) / 127.5. [ArcFace]

    Args:
        name: the pack's.
        folder: where its ONNX file is.
        swap_channels: feed blue, green, red where the network was trained on red, green, blue, as FaceMe's release
            does in training and in use alike.

    Raises:
        WeightsError: the pack is unknown, its file is not there, or is no such network.
    """

    def __init__(self, name: str, folder: Path, swap_channels: bool = False) -> None:
        if name not in FILES:
            raise WeightsError(f"recogniser {name!r} is unknown; use one of {', '.join(FILES)}")
        self.name, self.path, self.swap_channels = name, folder / FILES[name], swap_channels
        if not self.path.is_file():
            raise WeightsError(
                f"{self.path}: the recogniser that leads this family is not there; convert the family again with "
                f"{FILES[name]} of insightface's {name} among the sources: keepface weights convert --help"
            )
        try:
            self._net = Network(cv2.dnn.readNetFromONNX(str(self.path)), "")
            self.dim = self._net(np.zeros((1, 3, ARCFACE_SIDE, ARCFACE_SIDE), np.float32)).size
        except (cv2.error, IndexError, TypeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise WeightsError(f"{self.path}: can't be read as a recogniser ({reason}); copy it again") from None

    @cached_property
    def sha256(self) -> str:
        """Return the hash of its file."""
        return sha256(self.path)

    def embed(self, image: Float[Tensor, "3 h w"], face: Face) -> Float[Tensor, "d"]:
        """Return the unit embedding of `face` in `image` (RGB, 0..1)."""
        crop = to_bytes(align_arcface(image, face.points, sampling="bilinear"))
        return unit(self._net(cv2.dnn.blobFromImage(crop, 1 / 127.5, mean=(127.5,) * 3, swapRB=self.swap_channels)))
