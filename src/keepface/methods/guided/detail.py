"""The 256 px stage of the guided network: what the 128 px stage found, with detail of the photo and of the references.

The flow is refined at a quarter of the larger side, the references' own pixels are warped by it, and each pixel is made
of three: the 128 px stage's picture enlarged, the references' mix, and the photo as it is, where it is sharp already.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.methods.guided.guided_core import HALF, CoreOutput, Match, mix_features, mix_pixels, share_of
from keepface.methods.guided.layers import STEM, ResidualBlock, conv, enlarge, grouped, residual_blocks, warp, zero_conv

FLOW_STEP = 0.06  # most that this stage moves a place, in half sides
UNSHUFFLED = 3 * STEM**2
LEAST_SHARE = 1e-6  # of the 128 px stage; what is below is as good as none


@dataclass(frozen=True, eq=False)
class DetailOutput:
    """The restored square and what it was made of."""

    picture: Float[Tensor, "b 3 s s"]  # in the tones of the input; not clamped
    parts: Float[Tensor, "b 3 s s"]  # shares of the 128 px stage, the references and the photo in each pixel; sum 1
    mix: Float[Tensor, "b 3 s s"]  # the warped references by their shares
    match: Match


class DetailNetwork(nn.Module):
    """Restore squares of twice the core's side from the core's result, the photo and the references."""

    def __init__(self, photo: int = 64, reference: int = 48, fused: int = 80, coarse: int = 128) -> None:
        super().__init__()
        self.photo_stem = conv(2 * UNSHUFFLED, photo)
        self.photo_core = nn.Conv2d(HALF, photo, 1)
        self.photo_blocks = residual_blocks(photo, 2)
        self.reference_encoder = nn.Sequential(conv(UNSHUFFLED, reference), residual_blocks(reference, 2))
        self.flow = nn.Sequential(
            conv(photo + reference + 3, reference), residual_blocks(reference, 1), nn.SiLU(), zero_conv(reference, 3)
        )
        self.enter = conv(photo + reference + UNSHUFFLED + 1, fused)
        self.encode = residual_blocks(fused, 2)
        self.down = nn.Conv2d(4 * fused, coarse, 1)
        self.middle = residual_blocks(coarse, 2)
        self.up = nn.Conv2d(coarse, 4 * fused, 1)
        self.decode = residual_blocks(fused, 1)
        self.to_half = conv(fused, 4 * 32)
        self.merge_half = conv(32 + 2 * 12, 32)
        self.half_block = ResidualBlock(32)
        self.to_full = conv(32, 4 * 8)
        self.merge_full = conv(8 + 9, 16)
        self.last = zero_conv(16, 6)

    def encode_references(self, references: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c s4 s4"]:
        """Return the features of references (-1..1), which no photo changes: they may be kept."""
        features: Tensor = self.reference_encoder(functional.pixel_unshuffle(references, STEM))
        return features

    def forward(
        self,
        photo: Float[Tensor, "b 3 s s"],
        references: Float[Tensor, "b k 3 s s"],
        features: Float[Tensor, "n c s4 s4"],
        weights: Float[Tensor, "b k"],
        core: CoreOutput,
    ) -> DetailOutput:
        """Restore degraded squares; pictures are -1..1, `core` is of the same squares at half the side."""
        side = photo.shape[-1]
        base = functional.interpolate(core.picture, size=(side, side), mode="bicubic", align_corners=False)
        seen = torch.cat([functional.pixel_unshuffle(picture, STEM) for picture in (photo, base)], 1)
        own = self.photo_blocks(self.photo_stem(seen) + self.photo_core(core.features))
        match = self._refine(own, features, weights, core.match)
        mix = mix_pixels(references, match, side)
        mixed = mix_features(features, match)
        x = self.enter(torch.cat([own, mixed, functional.pixel_unshuffle(mix, STEM), match.trust], 1))
        x = self.encode(x)
        deep = self.middle(self.down(functional.pixel_unshuffle(x, 2)))
        x = self.decode(x + functional.pixel_shuffle(self.up(deep), 2))
        x = functional.pixel_shuffle(self.to_half(x), 2)
        pixels = [functional.pixel_unshuffle(picture, 2) for picture in (photo, mix)]
        x = self.half_block(functional.silu(self.merge_half(torch.cat([x, *pixels], 1))))
        x = functional.pixel_shuffle(self.to_full(functional.silu(x)), 2)
        answer = self.last(functional.silu(self.merge_full(torch.cat([x, photo, mix, base], 1))))
        parts = self._parts(answer[:, 3:], weights > 0)
        made_of = torch.stack([base, mix, photo], 1)
        picture = (made_of * parts[:, :, None]).sum(1) + answer[:, :3]
        return DetailOutput(picture, parts, mix, match)

    def _refine(self, own: Tensor, features: Tensor, weights: Float[Tensor, "b k"], found: Match) -> Match:
        count, side = weights.shape[1], own.shape[-1]
        flow = enlarge(found.flow.flatten(0, 1), side)
        share = enlarge(found.share.flatten(0, 1), side)
        logit = share.clamp(min=LEAST_SHARE).log()
        photo = own.repeat_interleave(count, 0)
        answer = self.flow(torch.cat([photo, warp(features, flow), 8 * flow, share], 1))
        flow = grouped(flow + FLOW_STEP * torch.tanh(answer[:, :2]), count)
        shares = share_of(grouped(logit + answer[:, 2:], count), (weights > 0).to(logit))
        return Match(flow, shares, enlarge(found.trust, side))

    @staticmethod
    def _parts(logits: Float[Tensor, "b 3 s s"], present: Bool[Tensor, "b k"]) -> Float[Tensor, "b 3 s s"]:
        prior = torch.tensor([1.0, 0.0, 0.0], device=logits.device)[:, None, None]
        absent = ~present.any(1)[:, None, None]
        logits = logits + prior
        without = logits[:, 1].masked_fill(absent, -1e4)
        return torch.softmax(torch.stack([logits[:, 0], without, logits[:, 2]], 1), 1)
