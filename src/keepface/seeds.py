"""One generator an item: the same picture from the same seed, whatever the batch it is restored in."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def derive(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed from a seed and names, so that streams with different names are independent."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """Make a torch generator for one item; it lives on the CPU, so that every device draws the same noise."""
    return torch.Generator("cpu").manual_seed(derive(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Make a numpy generator for one item."""
    return np.random.default_rng(derive(seed, *names))


def noise(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Float[Tensor, "b ..."]:
    """Draw Gaussian noise of `shape` for each generator and stack it; item i depends on generator i alone."""
    return torch.stack([torch.randn(tuple(shape), generator=item) for item in generators])
