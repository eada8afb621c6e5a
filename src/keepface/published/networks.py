"""A published file's tensors into a network of diffusers, strictly and without memory for random weights first."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from keepface.weights.layout import Layout, check_layout

OLDER_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def empty_network(kind: Any, config: Mapping[str, Any]) -> Any:
    """Build a network of diffusers by its published config; its tensors have shapes and no memory."""
    with torch.device("meta"):
        return kind.from_config(dict(config))


def fill(network: Any, tensors: Mapping[str, Tensor], where: str, dtype: torch.dtype = torch.float16) -> Any:
    """Give an empty network its tensors in a precision, freeze it and return it; `where` names them in errors.

    Raises:
        WeightsError: names are missing, unknown, or of another shape; nothing is changed.
    """
    check_layout(tensors, Layout.of(network), where)
    network.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def renamed_attention(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of an autoencoder's attention the names that diffusers has now; older files have others."""
    found = {}
    for name, tensor in tensors.items():
        for older, now in OLDER_ATTENTION.items():
            if ".attentions." in name:
                name = name.replace(older, now)
        found[name] = tensor
    return found
