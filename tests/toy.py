"""Toy people: drawn faces, and features that need no network; sizes of a family small enough to train in a test."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from keepface.data.shards import Entry, Row
from keepface.methods.faceme import FaceMeSettings
from keepface.methods.method import References
from keepface.seeds import generator

SIZE = 32  # px of the family's square
SIDE = 38  # px of a pack's crop: the square with its margin
RECOGNISER_DIM, IMAGE_DIM = 128, 1280  # as the networks that condition the compact family have them
FAMILY: dict[str, Any] = {
    "name": "tiny",
    "resolution": SIZE,
    "vae_class": "AutoencoderDC",
    "prompt_length": 16,
    "pooled": 16,
    "vae": {
        "latent_channels": 4,
        "encoder_block_out_channels": [8, 8, 16, 16],
        "decoder_block_out_channels": [8, 8, 16, 16],
        "encoder_layers_per_block": [0, 1, 1, 1],
        "decoder_layers_per_block": [0, 1, 1, 1],
        "encoder_qkv_multiscales": [[], [], [], []],
        "decoder_qkv_multiscales": [[], [], [], []],
    },
    "unet": {
        "sample_size": 4,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [16, 32],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 64,  # 16 pooled and 6 time ids of 8
    },
}
METHOD = FaceMeSettings(
    recogniser_dim=RECOGNISER_DIM,
    image_dim=IMAGE_DIM,
    width=32,
    hidden=32,
    projections=(20, 12),
    control_channels=(8, 8, 8, 8),
)
POINTS = np.array([[0.40, 0.47], [0.60, 0.47], [0.50, 0.58], [0.42, 0.68], [0.58, 0.68]], np.float32)


def references(*names: str, weights: Sequence[float] | None = None) -> References:
    """Make one reference a name, with unit features that belong to the name."""
    features = [
        tuple(
            functional.normalize(torch.randn(size, generator=generator(0, name, size)), dim=0)
            for size in (RECOGNISER_DIM, IMAGE_DIM)
        )
        for name in names
    ]
    found = References.stack(features, weights)
    assert found is not None
    return found


def low_squares(count: int) -> Float[Tensor, "b 3 s s"]:
    """Draw squares of different people, as coarse as a strong degradation leaves them."""
    clean = torch.stack([draw_face(person, 0, SIZE) for person in range(count)])
    return functional.interpolate(functional.avg_pool2d(clean, 4), scale_factor=4.0, mode="bilinear").clamp(0, 1)


def draw_face(person: int, photo: int, side: int = SIDE) -> Float[Tensor, "3 s s"]:
    """Draw an ellipse for a face, darker eyes and a mouth; skin, hair and ground are the person's colours."""
    skin, hair, ground = 0.15 + 0.7 * torch.rand(3, 3, generator=generator(0, "person", person))
    shift = 0.04 * torch.randn(2, generator=generator(0, "photo", person, photo))
    y, x = torch.meshgrid(*(2 * [torch.linspace(0, 1, side)]), indexing="ij")
    x, y = x - float(shift[0]), y - float(shift[1])

    def blob(cx: float, cy: float, rx: float, ry: float) -> Float[Tensor, "1 s s"]:
        return torch.sigmoid(12 * (1 - ((x - cx) / rx).square() - ((y - cy) / ry).square()))[None]

    image = ground[:, None, None].expand(3, side, side)
    parts = [(0.5, 0.45, 0.32, 0.42, hair), (0.5, 0.55, 0.25, 0.34, skin), (0.5, 0.7, 0.1, 0.03, 0.5 * skin)]
    parts += [(cx, 0.47, 0.05, 0.03, 0.2 * skin) for cx in (0.4, 0.6)]
    for cx, cy, rx, ry, colour in parts:
        mask = blob(cx, cy, rx, ry)
        image = image * (1 - mask) + mask * colour[:, None, None]
    return image.clamp(0, 1)


class ToyPeople:
    """`photos` drawn photos of each of `people` people, the first of them number `first`."""

    def __init__(self, people: int, photos: int, first: int = 0) -> None:
        self.table = [(first + person, photo) for person in range(people) for photo in range(photos)]

    def __len__(self) -> int:
        return len(self.table)

    def entries(self) -> Iterator[Entry]:
        for person, photo in self.table:
            yield Entry(f"{person}/{photo}", partial(self._read, person, photo))

    @staticmethod
    def _read(person: int, photo: int) -> Row:
        return Row(draw_face(person, photo), f"person {person}", "drawn", float(SIDE), 1.0, POINTS * SIDE)


class ColourFeatures:
    """Unit features that random maps make of a crop's colours, so that one person's photos are alike."""

    def names(self) -> dict[str, int]:
        return {"recogniser": RECOGNISER_DIM, "image": IMAGE_DIM}

    def features(
        self, squares: Sequence[Float[Tensor, "3 _ _"]], landmarks: Sequence[Float[np.ndarray, "5 2"]]
    ) -> dict[str, Float[Tensor, "b _"]]:
        colours = torch.stack([functional.adaptive_avg_pool2d(square, 3).flatten() - 0.5 for square in squares])
        maps = {name: torch.randn(27, dim, generator=generator(0, name)) for name, dim in self.names().items()}
        return {name: functional.normalize(colours @ weights, dim=1) for name, weights in maps.items()}
