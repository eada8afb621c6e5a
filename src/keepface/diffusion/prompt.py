"""The prompt of every method never changes, so a family holds it as constant token vectors."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.errors import WeightsError
from keepface.weights.store import read_metadata, read_safetensors, write_safetensors

FILE = "prompt.safetensors"


@dataclass(frozen=True, eq=False)
class Prompt:
    """A constant prompt, "a photo of face.", as its text encoders (or training) left it.

    tokens: one vector a token, start and end tokens and padding included.
    pooled: the pooled text vector that goes in with the time embedding; it never carries an identity.
    face_index: where the word *face* stands, counted from 0.
    """

    tokens: Float[Tensor, "n d"]
    pooled: Float[Tensor, "p"]
    face_index: int

    @property
    def width(self) -> int:
        """Return the cross-attention width d."""
        return self.tokens.shape[1]

    @classmethod
    def learned(cls, length: int, width: int, pooled: int, generator: torch.Generator) -> "Prompt":
        """Start a prompt whose vectors a family's own training learns: start, a, photo, of, face, ., end, padding."""
        return cls(
            tokens=torch.randn(length, width, generator=generator),
            pooled=torch.randn(pooled, generator=generator),
            face_index=4,
        )

    def save(self, folder: Path) -> None:
        """Write the prompt into a family's `prompt/` folder."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"tokens": self.tokens.contiguous(), "pooled": self.pooled.contiguous()}
        write_safetensors(tensors, folder / FILE, {"face_index": str(self.face_index)})

    @classmethod
    def load(cls, folder: Path) -> "Prompt":
        """Read the prompt of a family's `prompt/` folder.

        Raises:
            WeightsError: the file is missing or has another layout.
        """
        path = folder / FILE
        tensors, metadata = read_safetensors(path), read_metadata(path)
        if set(tensors) != {"tokens", "pooled"} or "face_index" not in metadata:
            raise WeightsError(
                f"{path}: holds {sorted(tensors)} with metadata {sorted(metadata)}; "
                "it needs the tensors tokens and pooled, and face_index in its metadata"
            )
        return cls(tensors["tokens"].float(), tensors["pooled"].float(), int(metadata["face_index"]))
