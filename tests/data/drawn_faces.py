"""Drawn crops for the tests of this folder: a smooth picture with a face's five points, and a source of them."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from keepface.data.shards import Entry, Row
from keepface.errors import FaceError

POINTS = np.array([[0.40, 0.47], [0.60, 0.47], [0.50, 0.58], [0.42, 0.68], [0.58, 0.68]], np.float32)


def drawn_row(number: int, identity: str, side: int = 96) -> Row:
    generator = torch.Generator().manual_seed(number)
    coarse = torch.rand(1, 3, 12, 12, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0].clamp(0, 1)
    return Row(image, identity, "drawn", 100.0 + number, 1.0, POINTS * side)


class DrawnSource:
    """One photo for each name given; the name '-' can't be used."""

    def __init__(self, identities: list[str], stop_at: int | None = None) -> None:
        self.identities = identities
        self.stop_at = stop_at  # reading this photo stops the program
        self.reads = 0

    def __len__(self) -> int:
        return len(self.identities)

    def entries(self) -> Iterator[Entry]:
        for number, identity in enumerate(self.identities):
            yield Entry(f"photo {number}", partial(self._read, number, identity))

    def _read(self, number: int, identity: str) -> Row:
        if number == self.stop_at:
            raise KeyboardInterrupt
        self.reads += 1
        if identity == "-":
            raise FaceError("no face found")
        return drawn_row(number, identity)


class MeanColour:
    """Features that can be computed by hand: the mean colour, and the place of the nose."""

    def names(self) -> dict[str, int]:
        return {"colour": 3, "nose": 2}

    def features(self, squares: Sequence[torch.Tensor], landmarks: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        noses = [points[2] / square.shape[-1] for square, points in zip(squares, landmarks, strict=True)]
        colours = torch.stack([square.mean((1, 2)) for square in squares])
        return {"colour": colours, "nose": torch.from_numpy(np.stack(noses)).float()}
