"""One person's part of a UNet: blocks that look at the word S* and at a reference, weighed in by a learned gamma.

    Varanka et al. 2024, "PFStorer: Personalized face restoration and super-resolution", CVPR  [PFStorer]
    Hao et al. 2023, "ViCo: Detail-preserving visual condition for personalized text-to-image generation"  [ViCo]
    Otsu 1979, "A threshold selection method from gray-level histograms"  [Otsu]

The blocks belong to no UNet. For the time of one call they are hooked behind the last transformer block of chosen
decoder transformers, before their output maps; afterwards the UNet is what it was. Within the call the first rows of
the batch are pictures, the others references; the references' rows pass untouched.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from keepface.diffusion.attention import attend, join_heads, log_weights, project
from keepface.errors import RecipeError

SPARSE_FROM = 8  # ours: decoders with so many transformers have a block in every second, as ViCo; others in each
THRESHOLDS = tuple(step / 10 for step in range(1, 10))  # of a map brought to 0..1  [ViCo]


@dataclass(frozen=True, eq=False)
class Lead:
    """What one call of the UNet is led by; its first `len(reference)` rows are pictures, the rest references.

    reference: which of the references each picture looks at.
    strength: 0..1, share of gamma for each picture; 0 is as if there were no blocks.
    words: the prompt with S* in it.
    star: where in the prompt S* stands.
    end: where its end token stands.
    """

    reference: Int[Tensor, "b"]
    strength: Float[Tensor, "b"]
    words: Float[Tensor, "m d"]
    star: int
    end: int


@dataclass(frozen=True, eq=False)
class Maps:
    """How much each patch of the references attends to S* and to the prompt's end, averaged over a block's heads."""

    star: Float[Tensor, "r n"]
    end: Float[Tensor, "r n"]


class PersonalisationBlock(nn.Module):
    """Text attention of picture and reference, image attention between them, feed-forward. [PFStorer, Sec. 3.2]

    Norm and text attention begin as copies of the transformer block's own, so that S* means something from the start.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        own, width = block.attn2, block.norm2.normalized_shape[0]
        heads, head_dim = own.heads, own.to_q.out_features // own.heads
        words = own.to_k.in_features
        self.norm = nn.LayerNorm(width, eps=block.norm2.eps)
        has_bias = own.to_q.bias is not None
        self.text = Attention(width, cross_attention_dim=words, heads=heads, dim_head=head_dim, bias=has_bias)
        self.image = Attention(width, cross_attention_dim=width, heads=heads, dim_head=head_dim)
        self.norm_out = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, activation_fn="geglu")
        self.norm.load_state_dict(block.norm2.state_dict())
        self.text.load_state_dict(own.state_dict())

    def forward(
        self, F: Float[Tensor, "b n c"], F_ref: Float[Tensor, "r n c"], lead: Lead
    ) -> tuple[Float[Tensor, "b n c"], Maps]:
        """Return what gamma weighs in, and the references' maps of S* and of the prompt's end."""
        x, r = self.norm(F), self.norm(F_ref)
        x = x + self._read(x, lead.words)
        read, shares = read_with_shares(self.text, r, lead.words)
        r = r + read
        maps = Maps(shares[..., lead.star], shares[..., lead.end])
        is_seen = otsu_mask(maps.star.detach())
        x = x + self._look(x, r[lead.reference], is_seen[lead.reference])
        return x + self.feed_forward(self.norm_out(x)), maps

    def _read(self, x: Float[Tensor, "b n c"], words: Float[Tensor, "m d"]) -> Float[Tensor, "b n c"]:
        c = words.to(x).expand(len(x), -1, -1)
        return join_heads(self.text, attend(*project(self.text, x, c), None))

    def _look(
        self, x: Float[Tensor, "b n c"], r: Float[Tensor, "b n c"], is_seen: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n c"]:
        return join_heads(self.image, attend(*project(self.image, x, r), log_weights(is_seen.float())))


def read_with_shares(
    layer: Attention, x: Float[Tensor, "b n c"], words: Float[Tensor, "m d"]
) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n m"]]:
    """Attend from patches to words; return what is read, and the words' shares averaged over the heads."""
    c = words.to(x).expand(len(x), -1, -1)
    q, k, v = project(layer, x, c)
    shares = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).float().softmax(-1)  # b heads n m
    return join_heads(layer, shares.to(v) @ v), shares.mean(1)


def otsu_mask(a: Float[Tensor, "r n"]) -> Bool[Tensor, "r n"]:
    """Choose the patches of each map above the threshold that parts it best: largest w_0 w_1 (mu_0 - mu_1)^2.

    [ViCo; Otsu]  A map that is the same everywhere is kept whole.
    """
    least, most = a.amin(1, keepdim=True), a.amax(1, keepdim=True)
    values = (a - least) / torch.where(most > least, most - least, 1.0)
    thresholds = torch.tensor(THRESHOLDS, device=a.device, dtype=a.dtype)
    is_below = values[:, None] < thresholds[None, :, None]  # r k n
    below, above = is_below.to(a), (~is_below).to(a)
    mu_0 = (values[:, None] * below).sum(2) / below.sum(2).clamp(min=1)
    mu_1 = (values[:, None] * above).sum(2) / above.sum(2).clamp(min=1)
    parted = below.mean(2) * above.mean(2) * (mu_0 - mu_1).square()
    chosen = thresholds[parted.argmax(1)][:, None]
    return (values >= chosen) | (most == least)


def attention_regularisation(maps: Sequence[Maps]) -> Float[Tensor, ""]:
    """Keep the maps of S* like those of the prompt's end, which know the subject: L_Pers. [PFStorer, Eq. 5; ViCo]

    Mean squared difference over patches of the maps, each over its largest value, summed over the blocks.
    """
    terms = [
        functional.mse_loss(
            item.star / item.star.amax(1, keepdim=True), (item.end / item.end.amax(1, keepdim=True)).detach()
        )
        for item in maps
    ]
    return torch.stack(terms).sum()


class Personalisation(nn.Module):
    """The blocks of one person and their gammas. [PFStorer, Eq. 3]

    Each gamma is a vector over channels and begins at zero, where the UNet is as it was; without gammas (ViCo) the
    blocks are simply added.
    """

    def __init__(self, unet: nn.Module, has_gamma: bool = True) -> None:
        super().__init__()
        self.places = decoder_places(unet)
        self.blocks = nn.ModuleDict({_key(place): PersonalisationBlock(_last(unet, place)) for place in self.places})
        widths = {_key(place): _last(unet, place).norm2.normalized_shape[0] for place in self.places}
        self.gamma = nn.ParameterDict(
            {key: nn.Parameter(torch.zeros(width)) for key, width in widths.items()} if has_gamma else {}
        )

    @contextmanager
    def over(self, unet: nn.Module, lead: Lead) -> Iterator[list[Maps]]:
        """Add the blocks inside a `with` block; what it gives holds the references' maps after a call."""
        maps: list[Maps] = []
        handles = [
            _last(unet, place).register_forward_hook(partial(self._add, _key(place), lead, maps))
            for place in self.places
        ]
        try:
            yield maps
        finally:
            for handle in handles:
                handle.remove()

    def _add(
        self, key: str, lead: Lead, maps: list[Maps], block: nn.Module, given: Any, F: Float[Tensor, "b n c"]
    ) -> Float[Tensor, "b n c"]:
        rows = len(lead.reference)
        added, seen = self.blocks[key](F[:rows], F[rows:], lead)
        maps.append(seen)
        gamma = self.gamma.get(key, 1.0)
        F_hat = balance(F[:rows], added * lead.strength.to(F)[:, None, None], gamma)
        return torch.cat([F_hat.to(F), F[rows:]])


def balance(F: Float[Tensor, "b n c"], added: Float[Tensor, "b n c"], gamma: Tensor | float) -> Float[Tensor, "b n c"]:
    """Blend the base's features with the person's: F_hat = F + gamma PB(F, F_ref). [PFStorer, Eq. 3]"""
    return F + gamma * added


def decoder_places(unet: nn.Module) -> tuple[str, ...]:
    """Choose the decoder transformers that get a block, first to last.

    Of Stable Diffusion's nine every second, which are ViCo's four; of fewer than eight all.  # ours

    Raises:
        RecipeError: the decoder has no transformers.
    """
    places = [
        name
        for name, part in unet.named_modules()
        if isinstance(part, Transformer2DModel) and name.startswith("up_blocks.")
    ]
    if not places:
        raise RecipeError("personalisation: this UNet's decoder has no transformers; choose a family that has some")
    return tuple(places[1::2] if len(places) >= SPARSE_FROM else places)


def _last(unet: nn.Module, place: str) -> Any:
    transformer: Any = unet.get_submodule(place)
    return transformer.transformer_blocks[-1]


def _key(place: str) -> str:
    return place.replace(".", "_")
