from pathlib import Path

import pytest
import torch

from keepface.diffusion.prompt import FILE, Prompt
from keepface.errors import WeightsError
from keepface.weights.store import write_safetensors


def test_a_learned_prompt_has_the_word_face_in_the_published_place() -> None:
    prompt = Prompt.learned(16, 32, 8, torch.Generator().manual_seed(0))
    assert prompt.face_index == 4  # start, a, photo, of, face
    assert (prompt.tokens.shape, prompt.pooled.shape, prompt.width) == ((16, 32), (8,), 32)


def test_a_prompt_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    prompt = Prompt(torch.randn(9, 4), torch.randn(3), face_index=2)
    prompt.save(tmp_path / "prompt")
    again = Prompt.load(tmp_path / "prompt")
    assert torch.equal(again.tokens, prompt.tokens) and torch.equal(again.pooled, prompt.pooled)
    assert again.face_index == 2


def test_a_file_of_another_layout_is_named_with_what_it_holds(tmp_path: Path) -> None:
    write_safetensors({"words": torch.zeros(3)}, tmp_path / FILE, {})
    with pytest.raises(WeightsError, match=r"holds \['words'\].*needs the tensors tokens and pooled"):
        Prompt.load(tmp_path)
