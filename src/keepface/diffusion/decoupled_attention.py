"""Decoupled cross-attention: identity tokens are attended beside the prompt, with keys and values of their own.

    Ye et al. 2023, "IP-Adapter: text compatible image prompt adapter for text-to-image diffusion models"  [IP-Adapter]
    Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]

Everything a call depends on comes as its argument: without an `Injection` a layer does what `WeightedAttnProcessor`
does, so a UNet that has these processors serves every other method as it did before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusers.models.attention_processor import Attention
from jaxtyping import Float, Int
from torch import Tensor, nn

from keepface.diffusion.attention import attend, join_heads, project, split_heads


@dataclass(frozen=True, eq=False)
class Injection:
    """A batch's identity tokens, the bias on their keys' logits (see `log_weights`), and their scale beside text."""

    tokens: Float[Tensor, "b m d"]
    bias: Float[Tensor, "b m"]
    scale: float = 1.0

    def of(self, rows: Int[Tensor, "r"]) -> "Injection":
        """Return what is injected into these items of the batch."""
        return Injection(self.tokens[rows], self.bias[rows], self.scale)


class IdentityKeys(nn.Module):
    """W'_K and W'_V of one cross-attention layer; they begin as copies of the text's. [IP-Adapter]"""

    def __init__(self, text_k: nn.Linear, text_v: nn.Linear) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(text_k.in_features, text_k.out_features, bias=False)
        self.to_v_ip = nn.Linear(text_v.in_features, text_v.out_features, bias=False)
        for own, text in ((self.to_k_ip, text_k), (self.to_v_ip, text_v)):
            own.weight.data.copy_(text.weight.data)


class DecoupledAttnProcessor:
    """Attention(Q, K, V) + scale Attention(Q, K', V'), the query shared. [RIDFR, Eq. 3]"""

    def __init__(self, keys: IdentityKeys) -> None:
        self.keys = keys

    def __call__(
        self,
        attn: Attention,
        hidden_states: Float[Tensor, "b n c"],
        encoder_hidden_states: Float[Tensor, "b m d"] | None = None,
        attention_mask: Tensor | None = None,
        token_bias: Float[Tensor, "b m"] | None = None,
        ip_hidden_states: Injection | None = None,
    ) -> Float[Tensor, "b n c"]:
        """Attend to the prompt's tokens and, beside them, to the identity's; both go through one output map."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = project(attn, hidden_states, context)
        out = attend(q, k, v, token_bias)
        if ip_hidden_states is not None:
            tokens, keys = ip_hidden_states.tokens, self.keys
            k, v = split_heads(attn, keys.to_k_ip(tokens)), split_heads(attn, keys.to_v_ip(tokens))
            out = out + ip_hidden_states.scale * attend(q, k, v, ip_hidden_states.bias)
        return join_heads(attn, out)


def cross_attention_layers(unet: nn.Module) -> dict[str, Any]:
    """List a UNet's cross-attention layers by their place among all its attention layers, as IP-Adapter counts them."""
    names = list(unet.attn_processors)  # type: ignore[arg-type]
    layers = {str(place): unet.get_submodule(name.removesuffix(".processor")) for place, name in enumerate(names)}
    return {place: layer for place, layer in layers.items() if layer.is_cross_attention}


def use_decoupled_attention(layers: Mapping[str, Any], keys: nn.ModuleDict) -> None:
    """Give each cross-attention layer the processor that reads its identity keys; layers that have it keep it.

    The processors belong to no network: neither `state_dict` nor `save_pretrained` of the UNet sees them.
    """
    for place, layer in layers.items():
        held = layer.processor
        if not (isinstance(held, DecoupledAttnProcessor) and held.keys is keys[place]):
            layer.set_processor(DecoupledAttnProcessor(keys[place]))  # type: ignore[arg-type]
