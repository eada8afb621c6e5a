"""What a Stable Diffusion's text encoder makes of the constant captions; afterwards the encoder is not needed.

    Radford et al. 2021, "Learning transferable visual models from natural language supervision"  [CLIP]

RIDFR and StableSR were trained with an empty caption, PFStorer's blocks look at "A photo of *".
"""

from importlib.util import find_spec
from pathlib import Path

import torch

from keepface.diffusion.prompt import Prompt
from keepface.errors import MissingExtraError, WeightsError
from keepface.published.dual_caption import CAPTION, WORD, text_encoder


@torch.no_grad()
def constant_prompt(base: Path, weights: Path) -> Prompt:
    """Encode the empty caption and "A photo of face." with a base's own text encoder, in float32.

    The vectors are those after the encoder's last norm: SD 1.5 has all of its layers, SD 2.1 is published without its
    last, so that they are the penultimate layer's.

    Args:
        base: a folder in diffusers' layout with tokenizer/ and text_encoder/.
        weights: the encoder's safetensors file.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is missing or damaged, or the caption does not hold the word *face* once.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError("text encoders need the package transformers; type: pip install 'keepface[published]'")
    from transformers import CLIPTextModel, CLIPTokenizer

    encoder = text_encoder(CLIPTextModel, base / "text_encoder", weights)
    length, folder = encoder.config.max_position_embeddings, base / "tokenizer"
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        rows = tokenizer(["", CAPTION], padding="max_length", max_length=length, truncation=True).input_ids
        word = list(tokenizer(WORD, add_special_tokens=False).input_ids)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{folder}: is no CLIP tokenizer ({reason}); fetch the base's tokenizer/ again") from None
    if len(word) != 1 or rows[1].count(word[0]) != 1:
        raise WeightsError(f"{folder}: {CAPTION!r} must hold {WORD!r} once, as one token; here it is {len(word)}")
    empty, named = encoder(torch.tensor(rows)).last_hidden_state
    return Prompt(tokens=empty, pooled=torch.zeros(0), face_index=rows[1].index(word[0]), named=named)
