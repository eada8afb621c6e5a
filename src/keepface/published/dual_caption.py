"""What SDXL's two text encoders make of a constant caption; afterwards neither is needed.

    Podell et al. 2024, "SDXL: Improving latent diffusion models for high-resolution image synthesis"  [SDXL]

Of each encoder the last layer but one is taken, without the last norm, and the two are put side by side; the pooled
vector is the second's. An identity never changes either: it replaces the word *face* in the finished sequence.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.diffusion.prompt import Prompt
from keepface.errors import MissingExtraError, WeightsError
from keepface.published.pipeline import read_config
from keepface.published.token_row import CAPTION, WORD, Padding, face_place, token_row
from keepface.weights.layout import Layout, take
from keepface.weights.store import read_safetensors

PREFIX = "text_model."


def dual_prompt(base: Path, weights: tuple[Path, Path], caption: str = CAPTION) -> Prompt:
    """Encode a caption with both of a base's text encoders, in float32, one after the other.

    Args:
        base: a folder in diffusers' layout with tokenizer/, tokenizer_2/, text_encoder/ and text_encoder_2/.
        weights: the encoders' safetensors files.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is missing or damaged, or the caption does not hold the word *face* once.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError("text encoders need the package transformers; type: pip install 'keepface[published]'")
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    first, index, _ = _encode(CLIPTextModel, base, "", weights[0], caption, "end")
    second, other, pooled = _encode(CLIPTextModelWithProjection, base, "_2", weights[1], caption, "zero")
    if index != other or len(first) != len(second) or pooled is None:
        raise WeightsError(f"{base}: its two tokenizers do not put {WORD!r} at one place: {index} and {other}")
    return Prompt(torch.cat([first, second], dim=1), pooled, index)


def text_encoder(kind: Any, folder: Path, weights: Path) -> Any:
    """Load a text encoder of transformers strictly, float32, frozen.

    Raises:
        WeightsError: the config or the weights are missing or damaged, or the weights are not those of the config.
    """
    network = empty_text_encoder(kind, read_config(folder))
    tensors = take(read_safetensors(weights), text_layout(network), str(weights))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True, assign=True)
    for module in network.modules():  # the counted places are no part of the file
        if hasattr(module, "position_ids"):
            module.position_ids = torch.arange(network.config.max_position_embeddings)[None]
    return network.eval().requires_grad_(False)


def empty_text_encoder(kind: Any, config: dict[str, Any]) -> Any:
    """Build a text encoder by its published config; its tensors have shapes and no memory."""
    from transformers import CLIPTextConfig

    with torch.device("meta"):
        return kind(CLIPTextConfig.from_dict(config))


def text_layout(network: Any) -> Layout:
    """Return what a file of a text encoder must hold; all have `text_model.` before their names, some classes not."""
    layout = Layout.of(network, "CLIP's text encoder")
    is_bare = not any(name.startswith(PREFIX) for name in layout.shapes)
    renamed = ((PREFIX, ""),) if is_bare else ()
    return layout.read(renamed, ignored=(f"{PREFIX}embeddings.position_ids",))


@torch.no_grad()
def _encode(
    kind: Any, base: Path, suffix: str, weights: Path, caption: str, padding: Padding
) -> tuple[Float[Tensor, "n d"], int, Float[Tensor, "p"] | None]:
    encoder, folder = text_encoder(kind, base / f"text_encoder{suffix}", weights), base / f"tokenizer{suffix}"
    row = token_row(folder, caption, encoder.config.max_position_embeddings, padding)
    found = encoder(torch.tensor([row]), output_hidden_states=True)
    pooled = found.text_embeds[0] if hasattr(found, "text_embeds") else None
    return found.hidden_states[-2][0], face_place(folder, caption, row), pooled
