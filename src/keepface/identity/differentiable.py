"""The conditioning recogniser as a torch module, so that a loss can tell a network whom its pictures look like.

cv2.dnn runs the same file without gradients; the two agree to the last digits (tests/identity/test_differentiable.py).
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.errors import MissingExtraError, WeightsError
from keepface.faces.align import ARCFACE_TEMPLATE, FFHQ_TEMPLATE, similarity
from keepface.weights.store import find

ALIGNED_PX = 112


class DifferentiableSFace(nn.Module):
    """SFace on FFHQ-aligned squares, in float32; its weights are frozen, gradients reach the picture.

    Raises:
        MissingExtraError: the package that reads the weights' format is not installed.
        WeightsError: the file holds another kind of network.
    """

    def __init__(self) -> None:
        super().__init__()
        self._layers = _read_layers(find("sface"))
        for place, (_, tensors, _) in enumerate(self._layers):
            for name, tensor in tensors.items():
                self.register_buffer(f"{place}_{name}", tensor, persistent=False)

    def forward(self, squares: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 128"]:
        """Return unit embeddings of aligned squares (RGB, 0..1), their faces taken where alignment put them."""
        theta = torch.from_numpy(_crop_of_square(squares.shape[-1])).to(squares.device, torch.float32)
        shape = [len(squares), 3, ALIGNED_PX, ALIGNED_PX]
        grid = functional.affine_grid(theta.expand(len(squares), -1, -1), shape, align_corners=False)
        return self.embed_crops(functional.grid_sample(squares.float(), grid, mode="bilinear", align_corners=False))

    def embed_crops(self, crops: Float[Tensor, "b 3 112 112"]) -> Float[Tensor, "b 128"]:
        """Return unit embeddings of crops that stand as ArcFace's alignment puts them (RGB, 0..1)."""
        x = 255 * crops
        with torch.autocast(crops.device.type, enabled=False):
            for place, (kind, tensors, options) in enumerate(self._layers):
                x = _LAYERS[kind](x, {name: self.get_buffer(f"{place}_{name}") for name in tensors}, options)
        return functional.normalize(x, dim=1)


Layer = tuple[str, dict[str, Tensor], dict[str, Any]]


def _convolve(x: Tensor, tensors: dict[str, Tensor], options: dict[str, Any]) -> Tensor:
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    padded = functional.pad(x, (left, right, top, bottom))
    stride = tuple(options.get("strides", (1, 1)))
    return functional.conv2d(padded, tensors["1"], tensors.get("2"), stride, groups=options.get("group", 1))


def _normalise(x: Tensor, tensors: dict[str, Tensor], options: dict[str, Any]) -> Tensor:
    gamma, beta, mean, variance = (tensors[name] for name in ("1", "2", "3", "4"))
    return functional.batch_norm(x, mean, variance, gamma, beta, eps=options["epsilon"])


_LAYERS: dict[str, Callable[[Tensor, dict[str, Tensor], dict[str, Any]], Tensor]] = {
    "Sub": lambda x, tensors, _: x - tensors["1"],
    "Mul": lambda x, tensors, _: x * tensors["1"],
    "Conv": _convolve,
    "BatchNormalization": _normalise,
    "PRelu": lambda x, tensors, _: functional.prelu(x, tensors["1"].flatten()),
    "Dropout": lambda x, _, __: x,
    "Flatten": lambda x, _, __: x.flatten(1),
    "Gemm": lambda x, tensors, _: functional.linear(x, tensors["1"], tensors["2"]),
}


def _crop_of_square(side: int) -> Float[np.ndarray, "2 3"]:
    """Map places in ArcFace's crop to places in an FFHQ square, both -1..1 as grid_sample counts them."""
    to_pixels = np.array(
        [[ALIGNED_PX / 2, 0, (ALIGNED_PX - 1) / 2], [0, ALIGNED_PX / 2, (ALIGNED_PX - 1) / 2], [0, 0, 1]]
    )
    to_square = np.vstack([similarity(ARCFACE_TEMPLATE, FFHQ_TEMPLATE * (side / 512)), [0, 0, 1]])
    to_unit = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1]])
    return to_unit @ to_square @ to_pixels


def _read_layers(path: Path) -> list[Layer]:
    """Read a chain of layers whose weights may be block-wise quantised."""
    if find_spec("onnx") is None:
        raise MissingExtraError("an identity loss needs the package onnx; type: pip install 'keepface[train]'")
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.load(str(path)).graph
    values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    layers: list[Layer] = []
    for node in graph.node:
        options = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Constant":
            values[node.output[0]] = numpy_helper.to_array(options["value"])
        elif node.op_type == "DequantizeLinear":
            codes, scale, zero = (values[name] for name in node.input)
            scale, zero = (_spread(part, codes.shape, options["axis"]) for part in (scale, zero))
            values[node.output[0]] = (codes.astype(np.float32) - zero.astype(np.float32)) * scale
        elif node.op_type == "Reshape" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]])
        elif node.op_type in _LAYERS:
            given = {str(i): values[name] for i, name in enumerate(node.input) if i and name in values}
            tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in given.items()}
            layers.append((node.op_type, tensors, options))
        else:
            raise WeightsError(
                f"{path}: holds a layer {node.op_type}, which this recogniser has not; keepface weights check"
            )
    return layers


def _spread(part: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Repeat each block's value over the block; the last block may be shorter."""
    if part.ndim == 0 or part.shape[axis] == shape[axis]:
        return part
    block = -(-shape[axis] // part.shape[axis])
    return np.repeat(part, block, axis=axis).take(np.arange(shape[axis]), axis=axis)
