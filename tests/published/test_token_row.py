"""Rows of ids against what each text encoder was trained with, whatever its tokenizer's files say of padding."""

import json
from pathlib import Path

import pytest

from keepface.errors import WeightsError
from keepface.published.token_row import Padding, face_place, token_row

from .sdxl_release import END, START, _vocabulary, _write_tokenizer

CAPTION = "A photo of face."


def tokenizer(folder: Path, config: str = END, special: str | None = None) -> Path:
    """Write a tokenizer's folder; `config` and `special` are what its two files say that it pads with."""
    _write_tokenizer(folder / "tokenizer", _vocabulary())
    path = folder / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": config}))
    if special is not None:
        told = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": special}
        (folder / "tokenizer" / "special_tokens_map.json").write_text(json.dumps(told))
    return folder / "tokenizer"


# SD 2.x as first published; the same without its second file, which is how a part of a folder is fetched; saved anew.
@pytest.mark.parametrize(("config", "special"), [(END, "!"), (END, None), ("!", "!"), ("!", None), (END, END)])
@pytest.mark.parametrize(("padding", "pad"), [("end", END), ("zero", "!")])
def test_a_row_is_padded_as_its_encoder_was_trained_whatever_the_files_say(
    config: str, special: str | None, padding: Padding, pad: str, tmp_path: Path
) -> None:
    ids, folder = _vocabulary(), tokenizer(tmp_path, config, special)
    assert ids["!"] == 0
    for caption, words in (("", []), (CAPTION, ["a</w>", "photo</w>", "of</w>", "face</w>", ".</w>"])):
        wanted = [ids[START], *(ids[word] for word in words), ids[END]]
        wanted += [ids[pad]] * (77 - len(wanted))
        assert token_row(folder, caption, 77, padding) == wanted
    assert face_place(folder, CAPTION, token_row(folder, CAPTION, 77, padding)) == 4


def test_a_caption_too_long_is_refused_not_cut(tmp_path: Path) -> None:
    folder = tokenizer(tmp_path)
    assert len(token_row(folder, "a " * 75, 77, "end")) == 77
    with pytest.raises(WeightsError, match="the caption has 78 tokens with both marks; the text encoder takes 77"):
        token_row(folder, "a " * 76, 77, "end")


def test_another_vocabulary_or_none_is_refused(tmp_path: Path) -> None:
    folder = tokenizer(tmp_path)
    other = {name: number for number, name in enumerate(["?", *list(_vocabulary())[1:]])}
    (folder / "vocab.json").write_text(json.dumps(other))
    with pytest.raises(WeightsError, match=r"its token 0 is '\?', CLIP's is '!'; fetch the base's tokenizer/ again"):
        token_row(folder, CAPTION, 77, "zero")
    (folder / "vocab.json").unlink()
    with pytest.raises(WeightsError, match="is no CLIP tokenizer .*; fetch the base's tokenizer/ again"):
        token_row(folder, CAPTION, 77, "zero")
