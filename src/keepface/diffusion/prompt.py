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
    named: "a photo of face." where `tokens` are those of an empty caption, in which there is no such word.
    """

    tokens: Float[Tensor, "n d"]
    pooled: Float[Tensor, "p"]
    face_index: int
    named: Float[Tensor, "n d"] | None = None

    @property
    def width(self) -> int:
        """Return the cross-attention width d."""
        return self.tokens.shape[1]

    @property
    def with_face(self) -> Float[Tensor, "n d"]:
        """Return the vectors among which the word *face* stands at `face_index`."""
        return self.tokens if self.named is None else self.named

    def to(self, device: torch.device, dtype: torch.dtype) -> "Prompt":
        """Return the prompt on a device, in a precision."""
        named = None if self.named is None else self.named.to(device, dtype)
        return Prompt(self.tokens.to(device, dtype), self.pooled.to(device, dtype), self.face_index, named)

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
        if self.named is not None:
            tensors["named"] = self.named.contiguous()
        write_safetensors(tensors, folder / FILE, {"face_index": str(self.face_index)})

    @classmethod
    def load(cls, folder: Path) -> "Prompt":
        """Read the prompt of a family's `prompt/` folder.

        Raises:
            WeightsError: the file is missing or has another layout.
        """
        path = folder / FILE
        tensors, metadata = read_safetensors(path), read_metadata(path)
        if set(tensors) - {"named"} != {"tokens", "pooled"} or "face_index" not in metadata:
            raise WeightsError(
                f"{path}: holds {sorted(tensors)} with metadata {sorted(metadata)}; "
                "it needs the tensors tokens and pooled, and face_index in its metadata"
            )
        named = tensors["named"].float() if "named" in tensors else None
        return cls(tensors["tokens"].float(), tensors["pooled"].float(), int(metadata["face_index"]), named)
