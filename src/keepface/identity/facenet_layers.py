"""What FaceNet sees on its way to saying who it is: the feature maps of its first layers.

    Schroff et al. 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering"  [FaceNet]

No gradient comes out of cv2.dnn, so that nothing can be trained by them.
"""

import threading

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.identity.recogniser import to_bytes
from keepface.image.size import resize
from keepface.weights.store import find

# An FFHQ square of this side holds its face as large as the 160 px crops that the net was trained on (TEMPLATE_BOX
# with FACENET_MARGIN around it is 0.62 of the side wide).
SQUARE_PX = 256
LAYERS = tuple(  # strides 2, 2, 4, 8 and 8; each ends in a ReLU
    f"InceptionResnetV1/{name}/Relu"
    for name in ("Conv2d_1a_3x3", "Conv2d_2b_3x3", "Conv2d_4a_3x3", "Conv2d_4b_3x3", "Repeat/block35_5")
)


class FaceNetLayers:
    """FaceNet (Inception-ResNet-v1, CASIA-WebFace) as far as its first stage of residual blocks."""

    def __init__(self) -> None:
        """Read the net from its carrier package.

        Raises:
            WeightsError: its file is not there or is another one.
        """
        path = str(find("facenet"))
        # OpenCV 5 reads with an engine that gives out a net's end only; its older engine gives layers as well.
        engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
        self._net = cv2.dnn.readNetFromTensorflow(path, *(() if engine is None else ("", engine)))
        self._lock = threading.Lock()

    def stages(self, square: Float[Tensor, "3 s s"]) -> list[Float[Tensor, "c h w"]]:
        """Return the feature maps of an aligned square (RGB, 0..1), which is brought to 256 px first; 0 or more."""
        pixels = to_bytes(resize(square, (SQUARE_PX, SQUARE_PX), "bicubic"))
        blob = cv2.dnn.blobFromImage(pixels, 1 / 128, mean=(127.5, 127.5, 127.5))
        with self._lock:
            self._net.setInput(blob, "")
            return [torch.from_numpy(np.array(layer[0], np.float32)) for layer in self._net.forward(list(LAYERS))]
