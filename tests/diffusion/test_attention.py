import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from keepface.diffusion.attention import WeightedAttnProcessor, log_weights
from keepface.seeds import generator


@pytest.fixture(scope="module")
def layer() -> Attention:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Attention(query_dim=16, cross_attention_dim=8, heads=2, dim_head=8).requires_grad_(False)


def attend(layer: Attention, tokens: Tensor, weights: Tensor | None) -> Tensor:
    layer.set_processor(WeightedAttnProcessor())
    bias = None if weights is None else log_weights(weights[None])
    return layer(queries(), encoder_hidden_states=tokens, token_bias=bias)


def queries() -> Tensor:
    return torch.randn(1, 5, 16, generator=generator(0, "q"))


def keys() -> Tensor:
    return torch.randn(1, 6, 8, generator=generator(0, "k"))


def test_weights_of_one_are_diffusers_own_attention(layer: Attention) -> None:
    layer.set_processor(AttnProcessor2_0())
    own = layer(queries(), encoder_hidden_states=keys())
    torch.testing.assert_close(attend(layer, keys(), torch.ones(6)), own)
    torch.testing.assert_close(attend(layer, keys(), None), own)


def test_a_token_of_weight_zero_is_as_if_it_were_absent(layer: Attention) -> None:
    weights = torch.tensor([1.0, 1, 0, 1, 0, 1])
    torch.testing.assert_close(
        attend(layer, keys(), weights), attend(layer, keys()[:, weights > 0], None), atol=1e-6, rtol=0
    )


def test_a_token_of_weight_a_half_twice_is_the_token_once(layer: Attention) -> None:
    doubled = torch.cat([keys(), keys()[:, 2:3]], dim=1)
    weights = torch.tensor([1.0, 1, 0.5, 1, 1, 1, 0.5])
    torch.testing.assert_close(attend(layer, doubled, weights), attend(layer, keys(), None), atol=1e-6, rtol=0)


def test_attention_to_itself_takes_no_weights() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Attention(query_dim=16, heads=2, dim_head=8)
    layer.set_processor(AttnProcessor2_0())
    own = layer(queries())
    layer.set_processor(WeightedAttnProcessor())
    torch.testing.assert_close(layer(queries(), token_bias=torch.zeros(1, 6)), own)
