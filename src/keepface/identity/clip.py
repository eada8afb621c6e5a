"""CLIP's image tower, read from a family's folder: the image network of the families of published weights.

    Radford et al. 2021, "Learning transferable visual models from natural language supervision"  [CLIP]

The network is transformers' own; pictures come in as RGB, 0..1, in squares of the tower's side.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepface.errors import MissingExtraError, WeightsError
from keepface.weights.layout import Layout, check_layout
from keepface.weights.store import read_safetensors, sha256, write_safetensors

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of the tower's input [CLIP]
IGNORED = ("vision_model.embeddings.position_ids",)  # counts places; older files have it
TOKENS = {"photomaker-clip": False, "clip-h": True}  # the towers known by name, and whether methods look at tokens


class ClipVision:
    """A frozen tower: pooled features, and for those that want them the tokens of its last layer but one.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: the name is unknown, a file is missing or damaged, or its tensors are not those of its config.
    """

    def __init__(self, name: str, folder: Path) -> None:
        if name not in TOKENS:
            raise WeightsError(f"image network {name!r} is unknown; use one of {', '.join(TOKENS)}")
        self.name, self.path = name, folder / WEIGHTS
        self.network = empty_tower(read_config(folder))
        load_tower(self.network, read_safetensors(self.path), str(self.path))
        self.network.float().eval().requires_grad_(False)

    @cached_property
    def sha256(self) -> str:
        """Return the hash of its weights."""
        return sha256(self.path)

    @property
    def pooled_dim(self) -> int:
        """Return the width of its pooled features."""
        return int(self.network.config.hidden_size)

    @torch.no_grad()
    def describe(
        self, boxed: Float[Tensor, "3 s s"], upright: Float[Tensor, "3 s s"]
    ) -> tuple[Float[Tensor, "d"], Float[Tensor, "t c"] | None]:
        """Return the pooled features of a face's box and, where methods look at them, the upright face's tokens."""
        tokens = self.tokens(upright[None])[0].float().cpu() if TOKENS[self.name] else None
        return self.pooled(boxed[None])[0].float().cpu(), tokens

    @torch.no_grad()
    def pooled(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        """Return the first token after the last norm, before any projection. [FaceMe, Identity encoder]"""
        features: Tensor = self.network.vision_model(self._normalised(image)).pooler_output
        return features

    @torch.no_grad()
    def tokens(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b t d"]:
        """Return the tokens of the last layer but one. [FaceID-Plus]"""
        found = self.network.vision_model(self._normalised(image), output_hidden_states=True)
        features: Tensor = found.hidden_states[-2]
        return features

    def to(self, device: torch.device) -> "ClipVision":
        """Move the tower to a device."""
        self.network.to(device)
        return self

    def _normalised(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        at = next(self.network.parameters())
        mean, std = (torch.tensor(part, device=at.device).view(1, 3, 1, 1) for part in (MEAN, STD))
        return (image.to(at) - mean) / std


def empty_tower(config: Mapping[str, Any]) -> Any:
    """Build a tower with its projection without memory for its tensors.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError(
            "this family's image network needs the package transformers; type: pip install 'keepface[published]'"
        )
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config)))


def tower_layout(network: nn.Module) -> Layout:
    """Return what a file of a tower must hold."""
    return Layout.of(network, "CLIP's image tower").read(ignored=IGNORED)


def load_tower(network: Any, tensors: Mapping[str, Tensor], where: str) -> None:
    """Give an empty tower its tensors, strictly; `where` names them in errors.

    Raises:
        WeightsError: names are missing, unknown, or of another shape.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name not in IGNORED}
    check_layout(kept, tower_layout(network), where)
    network.load_state_dict(kept, strict=True, assign=True)
    places = network.vision_model.embeddings  # the counted places are no part of the file
    places.position_ids = torch.arange(places.num_positions)[None]


def read_config(folder: Path) -> dict[str, Any]:
    """Read a tower's config.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return dict(config.get("vision_config", config))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{folder / CONFIG}: is no image network's config ({error}); convert it again") from None


def write_tower(tensors: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path) -> None:
    """Write a tower as `ClipVision` reads it, in half precision, after checking it.

    Raises:
        WeightsError: the tensors are not those of the config.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name not in IGNORED}
    check_layout(kept, tower_layout(empty_tower(config)), str(folder / WEIGHTS))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_safetensors({name: tensor.half() for name, tensor in kept.items()}, folder / WEIGHTS, {"format": "pt"})
