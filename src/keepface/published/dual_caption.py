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
from keepface.weights.layout import Layout, take
from keepface.weights.store import read_safetensors

CAPTION, WORD = "A photo of face.", "face"  # [FaceMe]
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

    first, index, _ = _encode(CLIPTextModel, base, "", weights[0], caption)
    second, other, pooled = _encode(CLIPTextModelWithProjection, base, "_2", weights[1], caption)
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
    kind: Any, base: Path, suffix: str, weights: Path, caption: str
) -> tuple[Float[Tensor, "n d"], int, Float[Tensor, "p"] | None]:
    encoder = text_encoder(kind, base / f"text_encoder{suffix}", weights)
    ids, index = _tokens(base / f"tokenizer{suffix}", caption)
    length = encoder.config.max_position_embeddings
    padding = 0 if suffix else ids[-1]  # the second encoder was trained with paddings of id 0, the first with ends
    row = torch.tensor([(ids + [padding] * length)[:length]])
    found = encoder(row, output_hidden_states=True)
    pooled = found.text_embeds[0] if hasattr(found, "text_embeds") else None
    return found.hidden_states[-2][0], index, pooled


def _tokens(folder: Path, caption: str) -> tuple[list[int], int]:
    """Return the caption's ids, start and end included, and the place of the word *face*."""
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        ids = list(tokenizer(caption).input_ids)
        word = list(tokenizer(WORD, add_special_tokens=False).input_ids)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{folder}: is no CLIP tokenizer ({reason}); fetch the base's {folder.name}/ again"
        ) from None
    if len(word) != 1 or ids.count(word[0]) != 1:
        raise WeightsError(
            f"{folder}: {caption!r} must hold {WORD!r} once, as one token; here it is {len(word)} tokens"
        )
    return ids, ids.index(word[0])
