"""Attention processor whose keys can be weighted: the control over each reference's influence.

A weight w in 0..1 on a key multiplies its share before the softmax normalises (its logit gains log w), so w = 1
leaves attention as it is and w = 0 is as if the token were absent.
"""

import torch
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class WeightedAttnProcessor:
    """Scaled dot-product attention that adds `token_bias` to the logits of cross-attention keys."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Float[Tensor, "b n c"],
        encoder_hidden_states: Float[Tensor, "b m d"] | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        token_bias: Float[Tensor, "b m"] | None = None,
    ) -> Float[Tensor, "b n c"]:
        """Attend from `hidden_states` to the prompt tokens, or to itself when there are none."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        bias = None if encoder_hidden_states is None else token_bias
        return join_heads(attn, attend(*project(attn, hidden_states, context), bias))


def project(
    attn: Attention, x: Float[Tensor, "b n c"], context: Float[Tensor, "b m d"]
) -> tuple[Float[Tensor, "b heads n c2"], Float[Tensor, "b heads m c2"], Float[Tensor, "b heads m c2"]]:
    """Return a layer's queries of `x`, and its keys and values of `context`, by heads."""
    q, k, v = (split_heads(attn, y) for y in (attn.to_q(x), attn.to_k(context), attn.to_v(context)))
    return q, k, v


def split_heads(attn: Attention, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b heads n c2"]:
    """Give each head of a layer its share of the channels."""
    split: Tensor = x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
    return split


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Float[Tensor, "b m"] | None) -> Float[Tensor, "b heads n c"]:
    """Attend in each head, the keys' logits raised by `bias`."""
    mask = None if bias is None else bias[:, None, None, :].to(q.dtype)  # b 1 1 m
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def join_heads(attn: Attention, out: Float[Tensor, "b heads n c2"]) -> Float[Tensor, "b n c"]:
    """Put the heads side by side, and through the layer's output map."""
    result: Tensor = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))
    return result


def use_weighted_attention(network: nn.Module) -> None:
    """Give every attention layer of a diffusers UNet or ControlNet the processor that weights keys."""
    network.set_attn_processor(WeightedAttnProcessor())  # type: ignore[operator]


def log_weights(weights: Float[Tensor, "b m"]) -> Float[Tensor, "b m"]:
    """Turn key weights 0..1 into the bias added to their logits; 0 becomes minus infinity."""
    return torch.log(weights)
