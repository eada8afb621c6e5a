"""What a Stable Diffusion's text encoder makes of the constant captions; afterwards the encoder is not needed.

    Radford et al. 2021, "Learning transferable visual models from natural language supervision"  [CLIP]

RIDFR and StableSR were trained with an empty caption, PFStorer's blocks look at "A photo of *".
"""

from importlib.util import find_spec
from pathlib import Path

import torch

from keepface.diffusion.prompt import Prompt
from keepface.errors import MissingExtraError
from keepface.published.dual_caption import text_encoder
from keepface.published.token_row import CAPTION, Padding, face_place, token_row


@torch.no_grad()
def constant_prompt(base: Path, weights: Path, padding: Padding) -> Prompt:
    """Encode the empty caption and "A photo of face." with a base's own text encoder, in float32.

    The vectors are those after the encoder's last norm: SD 1.5 has all of its layers, SD 2.1 is published without its
    last, so that they are the penultimate layer's.

    Args:
        base: a folder in diffusers' layout with tokenizer/ and text_encoder/.
        weights: the encoder's safetensors file.
        padding: what the encoder was trained with.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is missing or damaged, or the caption does not hold the word *face* once.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError("text encoders need the package transformers; type: pip install 'keepface[published]'")
    from transformers import CLIPTextModel

    encoder, folder = text_encoder(CLIPTextModel, base / "text_encoder", weights), base / "tokenizer"
    length = encoder.config.max_position_embeddings
    rows = [token_row(folder, caption, length, padding) for caption in ("", CAPTION)]
    empty, named = encoder(torch.tensor(rows)).last_hidden_state
    return Prompt(tokens=empty, pooled=torch.zeros(0), face_index=face_place(folder, CAPTION, rows[1]), named=named)
