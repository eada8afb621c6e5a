"""The identity encoder's published sizes, and where its tokens stand in the prompt."""

import pytest
import torch
from torch import Tensor

from keepface.errors import RecipeError, WeightsError
from keepface.methods.faceme import (
    FaceMe,
    FaceMeSettings,
    IDEncoder,
    MLPBlock,
    batch_prompts,
    combine,
    identity_prompt,
    load_id_encoder,
    replace_face_token,
    save_id_encoder,
)
from keepface.seeds import generator
from keepface.weights.store import read_safetensors, write_safetensors

from ..toy import METHOD, references

FACE = 4
WORDS, TOKENS = torch.arange(16.0)[:, None], 100 + torch.arange(20.0)[:, None]  # one number a token


def published_names() -> list[str]:
    blocks = [*(f"pro_id.mlp{number}" for number in (1, 2, 3, 4)), "mlp1", "mlp2"]
    inside = [f"{block}.{layer}" for block in blocks for layer in ("layernorm", "fc1", "fc2")]
    return sorted(f"{layer}.{kind}" for layer in (*inside, "norm1") for kind in ("weight", "bias"))


def test_the_published_settings_have_the_published_size_and_names() -> None:
    with torch.device("meta"):
        encoder = IDEncoder(FaceMeSettings())
    state = encoder.mix.state_dict()
    assert sorted(state) == published_names() and len(state) == 38
    assert round(sum(tensor.numel() for tensor in state.values()) / 1e6, 2) == 39.37
    assert [tuple(layer.weight.shape) for layer in encoder.projections] == [(768, 1024), (1280, 1024)]
    assert all(layer.bias is None for layer in encoder.projections)
    assert tuple(state["pro_id.mlp3.fc1.weight"].shape) == (2048, 1024)
    assert tuple(state["mlp1.fc1.weight"].shape) == (2048, 4096)


def test_projections_that_do_not_fill_the_width_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"projections \(10, 20\) sum to 30, not 32"):
        FaceMeSettings(width=32, projections=(10, 20))


def test_a_residual_block_without_weights_is_the_identity_and_its_norm_is_on_the_branch_alone() -> None:
    block = MLPBlock(8, 8, 16, is_residual=True)
    torch.nn.init.zeros_(block.fc2.weight)
    torch.nn.init.zeros_(block.fc2.bias)
    x = 5 + 3 * torch.randn(2, 8, generator=generator(0))
    assert torch.equal(block(x), x)


def test_references_do_not_see_each_other() -> None:
    encoder, people = IDEncoder(METHOD), references("a", "b", "c")
    together = encoder(people.image, people.recogniser)
    assert together.shape == (3, 32)
    torch.testing.assert_close(together[1], encoder(people.image[1], people.recogniser[1]), atol=1e-5, rtol=0)


def test_an_identity_encoder_comes_back_with_its_settings(tmp_path) -> None:
    encoder = IDEncoder(METHOD)
    save_id_encoder(encoder, tmp_path / "e.safetensors", torch.float32)
    again = load_id_encoder(tmp_path / "e.safetensors")
    assert again.settings == METHOD and not any(parameter.requires_grad for parameter in again.parameters())
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in encoder.state_dict().items())


def test_an_identity_encoders_file_that_does_not_fit_is_named(tmp_path) -> None:
    path = tmp_path / "e.safetensors"
    save_id_encoder(IDEncoder(METHOD), path, torch.float32)
    tensors = read_safetensors(path)
    write_safetensors(tensors, path, {})
    with pytest.raises(WeightsError, match="metadata holds no settings of an identity encoder"):
        load_id_encoder(path)
    write_safetensors(tensors, path, {"settings": '{"width": 64, "projections": [64]}'})
    with pytest.raises(WeightsError, match="missing|another shape"):
        load_id_encoder(path)


# ---- c_id = {e_1, e_2, e_3, s, e_5} ----


def numbers(tokens: Tensor) -> list[int]:
    return [int(value) for value in tokens[:, 0]]


@pytest.mark.parametrize("count", [1, 2, 4, 10])
def test_the_tokens_replace_the_face_word_and_paddings_give_way(count: int) -> None:
    found = numbers(replace_face_token(WORDS, FACE, combine(list(TOKENS[:count]))))
    after = [5, 6, *range(7, 16)]
    assert found == [0, 1, 2, 3, *range(100, 100 + count), *after[: len(after) - (count - 1)]]
    assert len(found) == 16


def test_without_padding_left_the_prompt_grows_and_keeps_full_stop_and_end() -> None:
    found = numbers(replace_face_token(WORDS, FACE, TOKENS[:12]))
    assert found == [0, 1, 2, 3, *range(100, 112), 5, 6]


def test_no_reference_is_the_plain_prompt() -> None:
    c, weights = identity_prompt(WORDS, FACE, TOKENS[:2], torch.zeros(2))
    assert torch.equal(c, WORDS) and torch.equal(weights, torch.ones(16))


def test_a_reference_of_weight_zero_gives_the_prompt_without_it_bit_for_bit() -> None:
    c, weights = identity_prompt(WORDS, FACE, TOKENS[:3], torch.tensor([1.0, 0.0, 0.4]))
    without, others = identity_prompt(WORDS, FACE, TOKENS[[0, 2]], torch.tensor([1.0, 0.4]))
    assert torch.equal(c, without) and torch.equal(weights, others)
    assert weights.tolist() == pytest.approx([1, 1, 1, 1, 1, 0.4] + [1] * 10)


@pytest.mark.parametrize("length", [7, 9, 16])
def test_a_batchs_prompts_act_as_the_prompt_of_each_item(tiny_method: FaceMe, length: int) -> None:
    rng = generator(0, "batch")
    words, tokens = torch.randn(length, 32, generator=rng), torch.randn(5, 4, 32, generator=rng)
    has = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=torch.bool)
    x, t = torch.randn(5, 4, 4, 4, generator=rng), torch.tensor([1, 200, 400, 600, 999])
    family = tiny_method.family

    def predict(rows: slice, c: Tensor, bias: Tensor) -> Tensor:
        added = family.added_conditions(torch.full((len(c),), 32.0))
        weights = {"token_bias": bias}
        return family.unet(
            x[rows], t[rows], c, added_cond_kwargs=added, cross_attention_kwargs=weights, return_dict=False
        )[0]

    with torch.no_grad():
        together = predict(slice(0, 5), *batch_prompts(words, FACE, tokens, has))
        for item in range(5):
            c, weights = identity_prompt(words, FACE, tokens[item], has[item].float())
            alone = predict(slice(item, item + 1), c[None], weights.log()[None])
            torch.testing.assert_close(together[item : item + 1], alone, atol=1e-5, rtol=0)
