"""The row of token ids that a CLIP text encoder is given for a caption, padded as that encoder was trained.

    Radford et al. 2021, "Learning transferable visual models from natural language supervision"  [CLIP]

What pads a row belongs to the encoder. A tokenizer's files do not settle it: Stable Diffusion 2.x was published with
the end mark in tokenizer_config.json and with "!" in special_tokens_map.json, and many copies lack the second.
"""

from pathlib import Path
from typing import Any, Literal

from keepface.errors import WeightsError

CAPTION, WORD = "A photo of face.", "face"  # [FaceMe]
FIRST = "!"  # the token of id 0 in CLIP's vocabulary

# end: OpenAI's CLIP, as in SD 1.5 and SDXL's first encoder. zero: open_clip's, as in SD 2.x and SDXL's second.
Padding = Literal["end", "zero"]


def token_row(folder: Path, caption: str, length: int, padding: Padding) -> list[int]:
    """Return the ids of a caption between its start and end marks, padded to `length`.

    Args:
        folder: a tokenizer/ in diffusers' layout.

    Raises:
        WeightsError: the folder holds no CLIP tokenizer, or the caption has more than `length` tokens.
    """
    tokenizer = _read(folder)
    ids = list(tokenizer(caption).input_ids)
    if len(ids) > length:
        raise WeightsError(
            f"{folder}: the caption has {len(ids)} tokens with both marks; the text encoder takes {length}"
        )
    return ids + [0 if padding == "zero" else ids[-1]] * (length - len(ids))


def face_place(folder: Path, caption: str, row: list[int]) -> int:
    """Return the place of the word *face* in a caption's row.

    Raises:
        WeightsError: it is not there exactly once, as one token.
    """
    word = list(_read(folder)(WORD, add_special_tokens=False).input_ids)
    if len(word) != 1 or row.count(word[0]) != 1:
        raise WeightsError(
            f"{folder}: {caption!r} must hold {WORD!r} once, as one token; here it is {len(word)} tokens"
        )
    return row.index(word[0])


def _read(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    try:
        tokenizer: Any = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        first = tokenizer.convert_ids_to_tokens(0)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{folder}: is no CLIP tokenizer ({reason}); fetch the base's {folder.name}/ again"
        ) from None
    if first != FIRST:
        raise WeightsError(
            f"{folder}: its token 0 is {first!r}, CLIP's is {FIRST!r}; fetch the base's {folder.name}/ again"
        )
    return tokenizer
