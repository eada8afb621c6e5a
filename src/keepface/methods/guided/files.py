"""The guided network's weights as a folder: one safetensors file and a card."""

import json
from pathlib import Path

import torch

from keepface.errors import WeightsError
from keepface.methods.guided.network import GuidedNetwork
from keepface.weights.store import find, load_strictly, read_safetensors, write_safetensors

WEIGHTS, CARD = "guided.safetensors", "card.json"
BUNDLED = "guided"  # the name of its card in weights/cards.toml


def save_network(network: GuidedNetwork, folder: Path, history: tuple[str, ...] = ()) -> None:
    """Write weights (float16) and a card with their history into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in network.state_dict().items()}
    write_safetensors(tensors, folder / WEIGHTS, {})
    card = {"size": network.size, "history": list(history)}
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def load_network(folder: Path | None = None) -> GuidedNetwork:
    """Load the weights of a folder, or those that come with the package; they are computed with in float32.

    Raises:
        WeightsError: they are missing, damaged, or another network's.
    """
    path = weights_file(folder)
    tensors = read_safetensors(path)
    network = GuidedNetwork(any(name.startswith("detail.") for name in tensors))
    load_strictly(network, {name: tensor.float() for name, tensor in tensors.items()}, str(path))
    return network


def weights_file(folder: Path | None = None) -> Path:
    """Return the file of a folder's weights, or of those that come with the package.

    Raises:
        WeightsError: there is none, or the package's is not as it was published.
    """
    path = find(BUNDLED) if folder is None else folder / WEIGHTS
    if not path.is_file():
        raise WeightsError(
            f"{folder}: has no {WEIGHTS}; give a folder of guided weights, or train them: keepface train "
            "recipes/guided/core.toml --data SHARDS --out RUN"
        )
    return path
