"""IP-Adapter-FaceID-Plus: from a recogniser's vector and an image network's tokens to a few identity tokens.

    Ye et al. 2023, "IP-Adapter: text compatible image prompt adapter for text-to-image diffusion models"  [IP-Adapter]
    Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]

The networks are diffusers' own. The published file (`ip-adapter-faceid-plus_sd15`, flat or nested, as safetensors or as
a dict) holds `image_proj.*`, and for attention layer n of the UNet `ip_adapter.{n}.to_{k,v}_ip.weight` (cross-attention
only) and `ip_adapter.{n}.to_{q,k,v,out}_lora.{down,up}.weight` (every layer).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection
from jaxtyping import Float
from torch import Tensor, nn

from keepface.diffusion.decoupled_attention import IdentityKeys, cross_attention_layers
from keepface.errors import RecipeError, WeightsError
from keepface.weights.store import load_strictly

LORA_PARTS = ("to_q", "to_k", "to_v", "to_out")
RENAMED = (  # published name, diffusers' name
    (r"^proj\.0\.", "proj.net.0.proj."),
    (r"^proj\.2\.", "proj.net.2."),
    (r"^perceiver_resampler\.", ""),
    (r"^layers\.(\d+)\.0\.norm1\.", r"layers.\1.ln0."),
    (r"^layers\.(\d+)\.0\.norm2\.", r"layers.\1.ln1."),
    (r"^layers\.(\d+)\.0\.to_out\.", r"layers.\1.attn.to_out.0."),
    (r"^layers\.(\d+)\.0\.(to_\w+)\.", r"layers.\1.attn.\2."),
    (r"^layers\.(\d+)\.1\.0\.", r"layers.\1.ff.0."),
    (r"^layers\.(\d+)\.1\.1\.", r"layers.\1.ff.1.net.0.proj."),
    (r"^layers\.(\d+)\.1\.3\.", r"layers.\1.ff.1.net.2."),
)


@dataclass(frozen=True)
class AdapterSettings:
    """Sizes of the identity adapter; the defaults are those of the file published for SD 1.5."""

    recogniser_dim: int = 512
    token_dim: int = 1280  # width of the image network's tokens
    image_tokens: int = 257  # how many of them a picture gives
    width: int = 768  # of the identity tokens, and of the UNet's prompt
    num_tokens: int = 4  # identity tokens a reference
    depth: int = 4
    head_dim: int = 64
    shortcut: bool = True  # c_ID = query + resampler, as in FaceID-PlusV2; False is FaceID-Plus
    shortcut_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.width % self.head_dim:
            raise RecipeError(
                f"the identity's width is {self.width}; it must be a multiple of head_dim {self.head_dim}"
            )


class FaceIDProjection(IPAdapterFaceIDPlusImageProjection):  # type: ignore[misc]
    """The recogniser's vector becomes queries, which draw from the image tokens what they need. [RIDFR, Sec. 3.2]

    diffusers keeps the image tokens on the module between calls; here they are an argument.
    """

    def forward(self, recogniser: Float[Tensor, "n e"], tokens: Float[Tensor, "n t c"]) -> Float[Tensor, "n k d"]:
        """Return the identity tokens of references, which don't see each other."""
        query = self.norm(self.proj(recogniser).unflatten(-1, (self.num_tokens, self.embed_dim)))
        image, latents = self.proj_in(tokens), query
        for block in self.layers:
            latents = block(image, latents, latents)
        c_id: Tensor = self.norm_out(self.proj_out(latents))
        return query + self.shortcut_scale * c_id if self.shortcut else c_id


class IdentityAdapter(nn.Module):
    """All that identity adds to a UNet: the projection, and keys and values for every cross-attention layer.

    `blank` holds the image tokens of an empty picture: with a zero recogniser vector they are the null identity.
    """

    blank: Tensor

    def __init__(self, settings: AdapterSettings, unet: nn.Module) -> None:
        super().__init__()
        self.settings = settings
        self.image_proj = FaceIDProjection(
            embed_dims=settings.width,
            output_dims=settings.width,
            hidden_dims=settings.token_dim,
            id_embeddings_dim=settings.recogniser_dim,
            depth=settings.depth,
            dim_head=settings.head_dim,
            heads=settings.width // settings.head_dim,
            num_tokens=settings.num_tokens,
        )
        self.image_proj.shortcut, self.image_proj.shortcut_scale = settings.shortcut, settings.shortcut_scale
        layers = cross_attention_layers(unet)
        taken = {layer.to_k.in_features for layer in layers.values()}
        if taken != {settings.width}:
            wanted = ", ".join(map(str, sorted(taken)))
            raise RecipeError(f"the identity's width is {settings.width}; the family's UNet takes {wanted}")
        keys = {place: IdentityKeys(layer.to_k, layer.to_v) for place, layer in layers.items()}
        self.ip_adapter = nn.ModuleDict(keys)
        self.register_buffer("blank", torch.zeros(settings.image_tokens, settings.token_dim))

    def forward(self, recogniser: Float[Tensor, "n e"], tokens: Float[Tensor, "n t c"]) -> Float[Tensor, "n k d"]:
        """Return c_ID of references."""
        c_id: Tensor = self.image_proj(recogniser.to(self.blank), tokens.to(self.blank))
        return c_id

    def null(self) -> Float[Tensor, "k d"]:
        """Return the tokens that stand for nobody: those of a zero vector and an empty picture. [IP-Adapter]"""
        nobody = self.blank.new_zeros(1, self.settings.recogniser_dim)
        return self(nobody, self.blank[None])[0]


# ---- the published file ----


def load_published(
    adapter: IdentityAdapter, unet: nn.Module, published: Mapping[str, Any], where: str, blank: Tensor | None = None
) -> None:
    """Take a published FaceID-Plus file into an adapter, and its LoRA into the UNet's own weights.

    The UNet is changed for good: afterwards it belongs to the adapter, and no other method should use it. `blank` holds
    the image network's tokens of an empty picture, which the file has not; `None` leaves zeros.

    Raises:
        WeightsError: tensors are missing, unknown or of another shape; nothing is changed then.
    """
    tensors = _flat(published)
    lora = {name: tensors.pop(name) for name in list(tensors) if "_lora." in name}
    state = {"blank": adapter.blank if blank is None else blank}
    for name, tensor in tensors.items():
        state.update(_renamed(name, tensor) if name.startswith("image_proj.") else {name: tensor})
    _check_lora(unet, lora, where)
    load_strictly(adapter, state, where)
    fold_lora(unet, lora)


def fold_lora(unet: nn.Module, lora: Mapping[str, Tensor]) -> None:
    """Add each low-rank change to the weight it belongs to: W <- W + up down.

    Names are `ip_adapter.{n}.{part}_lora.{down,up}.weight`, n the place among the UNet's attention layers.
    """
    for place, layer in enumerate(_attention_layers(unet)):
        for part in LORA_PARTS:
            stem = f"ip_adapter.{place}.{part}_lora"
            if f"{stem}.up.weight" in lora:
                up, down = (lora[f"{stem}.{side}.weight"].float() for side in ("up", "down"))
                weight = _linear(layer, part).weight
                weight.data.add_((up @ down).to(weight))


def lora_shapes(unet: nn.Module, rank: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the LoRA that a published file of this rank has for a UNet."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, layer in enumerate(_attention_layers(unet)):
        for part in LORA_PARTS:
            out, width = _linear(layer, part).weight.shape
            shapes[f"ip_adapter.{place}.{part}_lora.down.weight"] = (rank, width)
            shapes[f"ip_adapter.{place}.{part}_lora.up.weight"] = (out, rank)
    return shapes


def _check_lora(unet: nn.Module, lora: Mapping[str, Tensor], where: str) -> None:
    """See that the LoRA is whole: for every attention layer, or for none at all."""
    if not lora:
        return
    ranks = {tensor.shape[0] for name, tensor in lora.items() if name.endswith("down.weight")}
    wanted = lora_shapes(unet, min(ranks, default=0))
    problems = {
        "missing": sorted(wanted.keys() - lora.keys()),
        "unknown": sorted(lora.keys() - wanted.keys()),
        "of another shape": sorted(n for n in wanted.keys() & lora.keys() if tuple(lora[n].shape) != wanted[n]),
    }
    if any(problems.values()):
        text = "; ".join(f"{len(names)} {kind}, first {names[0]}" for kind, names in problems.items() if names)
        raise WeightsError(f"{where}: its LoRA is not for this UNet: {text}")


def _flat(published: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take `{image_proj: {…}, ip_adapter: {…}}` and its flat form, names joined by a dot, alike."""
    flat: dict[str, Tensor] = {}
    for name, value in published.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": tensor for inner, tensor in value.items()})
        else:
            flat[name] = value
    return flat


def _renamed(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Give one tensor of the published projection the names that diffusers has for it."""
    own = name.removeprefix("image_proj.")
    for pattern, replacement in RENAMED:
        own = re.sub(pattern, replacement, own)
    if ".attn.to_kv." not in own:
        return {f"image_proj.{own}": tensor}
    halves = zip(("to_k", "to_v"), tensor.chunk(2), strict=True)
    return {f"image_proj.{own.replace('to_kv', part)}": half for part, half in halves}


def _attention_layers(unet: nn.Module) -> list[Any]:
    return [unet.get_submodule(name.removesuffix(".processor")) for name in unet.attn_processors]  # type: ignore[union-attr]


def _linear(layer: Any, part: str) -> Any:
    return layer.to_out[0] if part == "to_out" else getattr(layer, part)
