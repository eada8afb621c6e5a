"""RIDFR over the toy family: sizes small enough to train in a test, and references with image tokens."""

from collections.abc import Sequence

import torch

from keepface.diffusion.faceid_plus import AdapterSettings
from keepface.diffusion.family import Family
from keepface.methods.method import References, TrainBatch
from keepface.methods.ridfr import RIDFR, RIDFRSettings
from keepface.seeds import generator
from keepface.train.fresh import fresh_family

from ..toy import FAMILY, IMAGE_DIM, RECOGNISER_DIM, low_squares, references

IMAGE_TOKENS = 49
IDENTITY = AdapterSettings(
    recogniser_dim=RECOGNISER_DIM,
    token_dim=IMAGE_DIM,
    image_tokens=IMAGE_TOKENS,
    width=32,
    depth=1,
    head_dim=16,
)
RIDFR_METHOD = RIDFRSettings(identity=IDENTITY)


def people(*names: str, weights: Sequence[float] | None = None) -> References:
    """Make one reference a name, image tokens among its features."""
    plain = references(*names)
    tokens = [torch.randn(IMAGE_TOKENS, IMAGE_DIM, generator=generator(0, name, "tokens")) for name in names]
    found = References.stack(list(zip(plain.recogniser, plain.image, tokens, strict=True)), weights)
    assert found is not None
    return found


def opened(family: Family | None = None, settings: RIDFRSettings = RIDFR_METHOD) -> RIDFR:
    """Begin the method and open what begins shut, as training would: content, and an identity unlike the prompt."""
    method = RIDFR.begin(family or fresh_family(FAMILY, seed=0), settings, seed=0)
    rng = generator(0, "opened")
    control = method.content
    with torch.no_grad():
        for block in (*control.controlnet_down_blocks, control.controlnet_mid_block):
            block.weight.copy_(0.3 * torch.randn(block.weight.shape, generator=rng))
        control.conv_in.weight.copy_(0.2 * torch.randn(control.conv_in.weight.shape, generator=rng))
        for keys in method.adapter.ip_adapter.values():
            keys.to_v_ip.weight.copy_(0.3 * torch.randn(keys.to_v_ip.weight.shape, generator=rng))
    for network in (method.family.unet, method.family.vae, control, method.adapter):
        network.requires_grad_(False)  # as loaded networks are
    method.has_content = method.has_identity = True
    return method


def toy_batch(method: RIDFR, count: int = 3, each: int = 2) -> TrainBatch:
    """Make a batch of `each` references an item, of people of their own."""
    rng = generator(0, "toy batch")
    led_by = people(*(f"p{number}" for number in range(each * count)))
    assert led_by.tokens is not None
    low = low_squares(count)
    return TrainBatch(
        clean=low.flip(3),
        low=low,
        recogniser=led_by.recogniser.view(count, each, -1),
        image=led_by.image.view(count, each, -1),
        has_reference=torch.ones(count, each, dtype=torch.bool),
        detail_px=torch.full((count,), 32.0),
        eps=torch.randn(count, *method.family.latent_shape, generator=rng),
        t=torch.randint(0, 1000, (count,), generator=rng),
        tokens=led_by.tokens.view(count, each, IMAGE_TOKENS, IMAGE_DIM),
    )
