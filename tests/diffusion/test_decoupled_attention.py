"""Decoupled attention by its own arithmetic, and against diffusers' processor for the same layer."""

import pytest
import torch
from diffusers.models.attention_processor import Attention, IPAdapterAttnProcessor2_0
from torch import Tensor

from keepface.diffusion.attention import WeightedAttnProcessor, log_weights
from keepface.diffusion.decoupled_attention import DecoupledAttnProcessor, IdentityKeys, Injection

WIDTH, PROMPT = 32, 24


@pytest.fixture
def layer() -> Attention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = Attention(WIDTH, cross_attention_dim=PROMPT, heads=4, dim_head=8, dropout=0.0)
        layer.processor = DecoupledAttnProcessor(IdentityKeys(layer.to_k, layer.to_v))
        for keys in (layer.processor.keys.to_k_ip, layer.processor.keys.to_v_ip):
            keys.weight.data.normal_(0, 0.5)
    return layer.requires_grad_(False)


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def injection(tokens: Tensor, weights: list[float], scale: float = 1.0) -> Injection:
    return Injection(tokens, log_weights(torch.tensor([weights] * len(tokens))), scale)


def test_it_is_what_diffusers_ip_adapter_computes(layer: Attention) -> None:
    own = layer.processor.keys
    theirs = IPAdapterAttnProcessor2_0(WIDTH, PROMPT, num_tokens=(4,), scale=0.7)
    theirs.to_k_ip[0].weight.data.copy_(own.to_k_ip.weight)
    theirs.to_v_ip[0].weight.data.copy_(own.to_v_ip.weight)
    x, words, tokens = draw(2, 9, WIDTH), draw(2, 5, PROMPT, seed=2), draw(2, 4, PROMPT, seed=3)
    ours = layer(x, words, ip_hidden_states=injection(tokens, [1.0] * 4, 0.7))
    layer.processor = theirs
    torch.testing.assert_close(ours, layer(x, (words, [tokens])), atol=1e-5, rtol=0)


def test_without_an_injection_it_is_the_processor_that_other_methods_use(layer: Attention) -> None:
    x, words, bias = draw(2, 9, WIDTH), draw(2, 5, PROMPT, seed=2), log_weights(torch.tensor([[1.0, 0.2, 0, 1, 1]] * 2))
    ours = layer(x, words, token_bias=bias)
    layer.processor = WeightedAttnProcessor()
    assert torch.equal(ours, layer(x, words, token_bias=bias))


def test_a_token_of_weight_zero_is_as_if_it_were_absent(layer: Attention) -> None:
    x, words, tokens = draw(1, 9, WIDTH), draw(1, 5, PROMPT, seed=2), draw(1, 4, PROMPT, seed=3)
    hidden = layer(x, words, ip_hidden_states=injection(tokens, [1.0, 0.5, 0.0, 0.0]))
    torch.testing.assert_close(hidden, layer(x, words, ip_hidden_states=injection(tokens[:, :2], [1.0, 0.5])))


def test_the_keys_begin_as_copies_of_the_texts(layer: Attention) -> None:
    keys = IdentityKeys(layer.to_k, layer.to_v)
    assert torch.equal(keys.to_k_ip.weight, layer.to_k.weight) and torch.equal(keys.to_v_ip.weight, layer.to_v.weight)
    keys.to_k_ip.weight.data.zero_()
    assert float(layer.to_k.weight.abs().max()) > 0
