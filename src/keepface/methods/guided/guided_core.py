"""The 128 px stage of the guided network: where each reference matches, how far to trust it, and a fused picture.

    Li et al., ECCV 2018, "Learning Warped Guidance for Blind Face Restoration"  [GFRNet]
    Li et al., CVPR 2020, "Enhanced Blind Face Restoration with Multi-Exemplar Images"  [ASFFNet]

A flow from the degraded square to each reference is found from coarse to fine; references share each place by a
softmax; one trust map says how far the mix is believed. Pixels and features of the mix enter a U-Net beside the
degraded square, whose coarsest level also attends to all references.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.methods.guided.layers import (
    STEM,
    PyramidEncoder,
    ReferenceAttention,
    ResidualBlock,
    conv,
    enlarge,
    grouped,
    residual_blocks,
    warp,
    zero_conv,
)

FLOW_STEP = 0.3  # most that one level moves a place, in half sides
FLOW_WIDTH = 64  # channels of the flow's own layers
FLOW_GAIN = 4.0  # flows are small numbers; convolutions see them so many times larger
HALF = 48  # channels of the decoder at half the side
UNSHUFFLED = 3 * STEM**2


@dataclass(frozen=True, eq=False)
class Match:
    """Where references match the degraded square, at a quarter of the square's side."""

    flow: Float[Tensor, "b k 2 h w"]  # in half sides
    share: Float[Tensor, "b k 1 h w"]  # over the references that are present they sum to 1; 0 where there is none
    trust: Float[Tensor, "b 1 h w"]  # 0..1, of the mix; 0 without references


@dataclass(frozen=True, eq=False)
class CoreOutput:
    """What the 128 px stage found."""

    picture: Float[Tensor, "b 3 s s"]  # restored, in the tones of the input; not clamped
    copied: Float[Tensor, "b 1 s s"]  # 0..1: how much of each pixel is the references' mix
    mix: Float[Tensor, "b 3 s s"]  # the warped references by their shares
    match: Match
    features: Float[Tensor, "b 48 s2 s2"]  # the decoder's, at half the side


class GuidedCore(nn.Module):
    """Restore squares of 128 px by warped references, in one pass."""

    def __init__(
        self, encoder: tuple[int, int, int] = (64, 96, 128), decoder: tuple[int, int, int] = (96, 144, 192)
    ) -> None:
        super().__init__()
        self.photo_encoder = PyramidEncoder(encoder, blocks=2)
        self.reference_encoder = PyramidEncoder(encoder, blocks=1)
        self.flow = nn.ModuleList(
            nn.Sequential(
                conv(2 * encoder[level] + 2, FLOW_WIDTH),
                residual_blocks(FLOW_WIDTH, 2 if level == 2 else 1),
                nn.Sequential(nn.SiLU(), zero_conv(FLOW_WIDTH, 4 if level == 0 else 2)),
            )
            for level in (2, 1, 0)
        )
        self.enter = conv(2 * encoder[0] + UNSHUFFLED + 2, decoder[0])
        self.enter_8 = nn.Conv2d(2 * encoder[1], decoder[1], 1)
        self.enter_16 = nn.Conv2d(2 * encoder[2], decoder[2], 1)
        self.encode = nn.ModuleList(residual_blocks(width, 2 if width == decoder[2] else 1) for width in decoder)
        self.attention = ReferenceAttention(decoder[2], encoder[2])
        self.middle = residual_blocks(decoder[2], 2)
        self.down = nn.ModuleList(nn.Conv2d(4 * fine, coarse, 1) for fine, coarse in pairwise(decoder))
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(decoder))
        self.decode = nn.ModuleList(residual_blocks(width, 2) for width in decoder[:2])
        self.skip = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in decoder[:2])
        self.to_half = conv(decoder[0], 4 * HALF)
        self.merge_half = conv(HALF + 2 * 12 + 1, HALF)
        self.half_block = ResidualBlock(HALF)
        self.to_full = conv(HALF, 4 * 16)
        self.merge_full = conv(16 + 6, 16)
        self.last = zero_conv(16, 4)

    def encode_references(self, references: Float[Tensor, "n 3 s s"]) -> list[Tensor]:
        """Return the features of references (-1..1), which no photo changes: they may be kept."""
        return list(self.reference_encoder(references))

    def forward(
        self,
        photo: Float[Tensor, "b 3 s s"],
        references: Float[Tensor, "b k 3 s s"],
        features: list[Tensor],
        weights: Float[Tensor, "b k"],
    ) -> CoreOutput:
        """Restore degraded squares; all pictures are -1..1, `features` those of all references, flattened to b * k.

        Weights are 0 or more; a reference of weight 0 is as if it were not there, whatever its pixels.
        """
        side, own, present = photo.shape[-1], self.photo_encoder(photo), weights > 0
        match = self._match(own, features, weights)
        mix = mix_pixels(references, match, side)
        x = self._unet(photo, own, mix, features, match, present)
        half = self._at_half(x, photo, mix, match.trust)
        x = functional.pixel_shuffle(self.to_full(functional.silu(half)), 2)
        answer = self.last(functional.silu(self.merge_full(torch.cat([x, photo, mix], 1))))
        copied = torch.sigmoid(answer[:, 3:] - 1) * _any(present, photo)
        restored = photo * (1 - copied) + mix * copied + 2 * answer[:, :3]
        return CoreOutput(restored, copied, mix, match, half)

    def _match(self, own: list[Tensor], features: list[Tensor], weights: Float[Tensor, "b k"]) -> Match:
        count = weights.shape[1]
        flow = torch.zeros_like(features[2][:, :2])
        answer = flow
        for number, level in enumerate((2, 1, 0)):
            if number:
                flow = enlarge(flow, features[level].shape[-1])
            photo = own[level].repeat_interleave(count, 0)
            reference = warp(features[level], flow) if number else features[level]
            answer = self.flow[number](torch.cat([photo, reference, FLOW_GAIN * flow], 1))
            flow = flow + FLOW_STEP * torch.tanh(answer[:, :2])
        logits, trusts = (grouped(answer[:, place : place + 1], count) for place in (2, 3))
        share = share_of(logits, weights)
        trust = torch.sigmoid((share * trusts).sum(1)) * _any(weights > 0, answer)
        return Match(grouped(flow, count), share, trust)

    def _unet(
        self,
        photo: Float[Tensor, "b 3 s s"],
        own: list[Tensor],
        mix: Float[Tensor, "b 3 s s"],
        features: list[Tensor],
        match: Match,
        present: Bool[Tensor, "b k"],
    ) -> Float[Tensor, "b c s4 s4"]:
        mixed = [mix_features(level, match, 2**number) for number, level in enumerate(features)]
        presence = _any(present, photo).expand_as(match.trust)
        pixels = functional.pixel_unshuffle(mix, STEM)
        x = self.enter(torch.cat([own[0], mixed[0] * match.trust, pixels, match.trust, presence], 1))
        entering = (None, self.enter_8, self.enter_16)
        skips = []
        for number, (layer, encode) in enumerate(zip(entering, self.encode, strict=True)):
            if layer is not None:
                x = x + layer(torch.cat([own[number], mixed[number]], 1))
            x = encode(x)
            if number < 2:
                skips.append(x)
                x = self.down[number](functional.pixel_unshuffle(x, 2))
        x = self.middle(self.attention(x, grouped(features[2], present.shape[1]), present))
        for number in (1, 0):
            raised = functional.pixel_shuffle(self.up[number](x), 2)
            x = self.decode[number](self.skip[number](torch.cat([raised, skips[number]], 1)))
        return x

    def _at_half(self, x: Tensor, photo: Tensor, mix: Tensor, trust: Tensor) -> Float[Tensor, "b 48 s2 s2"]:
        x = functional.pixel_shuffle(self.to_half(x), 2)
        pixels = [functional.pixel_unshuffle(picture, 2) for picture in (photo, mix)]
        return self.half_block(
            functional.silu(self.merge_half(torch.cat([x, *pixels, enlarge(trust, x.shape[-1])], 1)))
        )


def share_of(logits: Float[Tensor, "b k 1 h w"], weights: Float[Tensor, "b k"]) -> Float[Tensor, "b k 1 h w"]:
    """Return each reference's share at each place: a weighted softmax, all 0 where every weight is 0."""
    given = weights[:, :, None, None, None].to(logits.dtype)
    return torch.softmax((logits + given.clamp(min=1e-30).log()).masked_fill(given == 0, -1e4), 1) * (given > 0)


def mix_pixels(references: Float[Tensor, "b k 3 s s"], match: Match, side: int) -> Float[Tensor, "b 3 {side} {side}"]:
    """Warp references of any size and mix them by their shares; 0 without references."""
    count = references.shape[1]
    flow = enlarge(match.flow.flatten(0, 1), side)
    share = grouped(enlarge(match.share.flatten(0, 1), side), count)
    return (grouped(warp(references.flatten(0, 1), flow), count) * share).sum(1)


def mix_features(features: Float[Tensor, "n c h w"], match: Match, shrink: int = 1) -> Float[Tensor, "b c h w"]:
    """Warp references' features, `shrink` times smaller than the match, and mix them by their shares."""
    count = match.share.shape[1]
    flow, share = match.flow.flatten(0, 1), match.share.flatten(0, 1)
    if shrink > 1:
        flow, share = functional.avg_pool2d(flow, shrink), functional.avg_pool2d(share, shrink)
    return (grouped(warp(features, flow), count) * grouped(share, count)).sum(1)


def _any(present: Bool[Tensor, "b k"], like: Tensor) -> Float[Tensor, "b 1 1 1"]:
    return present.any(1).to(like.dtype)[:, None, None, None]
