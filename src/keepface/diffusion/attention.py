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
        bias = None
        if encoder_hidden_states is not None and token_bias is not None:
            bias = token_bias[:, None, None, :].to(hidden_states.dtype)  # b 1 1 m
        heads = attn.heads
        q = attn.to_q(hidden_states).unflatten(-1, (heads, -1)).transpose(1, 2)  # b heads n c/heads
        k = attn.to_k(context).unflatten(-1, (heads, -1)).transpose(1, 2)
        v = attn.to_v(context).unflatten(-1, (heads, -1)).transpose(1, 2)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        result: Tensor = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))
        return result


def use_weighted_attention(network: nn.Module) -> None:
    """Give every attention layer of a diffusers UNet or ControlNet the processor that weights keys."""
    network.set_attn_processor(WeightedAttnProcessor())  # type: ignore[operator]


def log_weights(weights: Float[Tensor, "b m"]) -> Float[Tensor, "b m"]:
    """Turn key weights 0..1 into the bias added to their logits; 0 becomes minus infinity."""
    return torch.log(weights)
