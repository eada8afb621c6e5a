"""PFStorer over the toy family: sizes small enough to tune in a test, opened as training would open them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from keepface.diffusion.family import Family
from keepface.diffusion.personal_part import PersonalBatch
from keepface.diffusion.sampler import SamplerSettings
from keepface.diffusion.time_aware_encoder import TimeAwareSettings
from keepface.methods.method import References, TrainBatch
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.seeds import generator
from keepface.train.fresh import fresh_family

from ..toy import FAMILY, SIZE, draw_face, low_squares

ENCODER = TimeAwareSettings(in_channels=4, width=16, multipliers=(1, 2), layers=1, heads=2, norm_groups=8)
PFSTORER_METHOD = PFStorerSettings(encoder=ENCODER, sft_hidden=8)
SHORT = SamplerSettings(name="ddim", steps=2)
PERSON = References.learned()


def photos_of(person: int, count: int = 3, side: int = SIZE) -> Tensor:
    """Draw photos of one person."""
    return torch.stack([draw_face(person, photo, side) for photo in range(count)])


def opened(family: Family | None = None) -> PFStorer:
    """Begin the method and let the low picture have its say, as training of the base would."""
    method = PFStorer.begin(family or fresh_family(FAMILY, seed=0), PFSTORER_METHOD, seed=0)
    rng = generator(0, "opened")
    with torch.no_grad():
        for layer in method.sft.layers.values():
            for conv in (layer.scale, layer.shift):
                conv.weight.copy_(0.1 * torch.randn(conv.weight.shape, generator=rng))
    for network in (method.family.unet, method.family.vae, method.time_aware, method.sft):
        network.requires_grad_(False)  # as loaded networks are
    return method


def save_opened(folder: Path) -> PFStorer:
    """Write a family with PFStorer's base, in full precision, and return the method."""
    method = opened()
    method.family.save_pretrained(folder, torch.float32)
    method.save(folder, torch.float32)
    return method


def open_gamma(method: PFStorer, person: int = 0) -> None:
    """Let the begun person's blocks in, as tuning would; each number its own way."""
    assert method.person is not None
    rng = generator(person, "gamma")
    with torch.no_grad():
        for gamma in method.person.gamma.values():
            gamma.copy_(torch.randn(gamma.shape, generator=rng))
        method.person.token["S*"].add_(0.3 * torch.randn(method.person.token["S*"].shape, generator=rng))


def base_batch(method: PFStorer, count: int = 3) -> TrainBatch:
    """Make a batch for the base: nobody's features."""
    rng = generator(0, "base batch")
    low = low_squares(count)
    return TrainBatch(
        clean=low.flip(3),
        low=low,
        recogniser=torch.zeros(count, 1, 8),
        image=torch.zeros(count, 1, 8),
        has_reference=torch.ones(count, 1, dtype=torch.bool),
        detail_px=torch.full((count,), 32.0),
        eps=torch.randn(count, *method.family.latent_shape, generator=rng),
        t=torch.randint(0, 1000, (count,), generator=rng),
    )


def person_batch(method: PFStorer, with_prior: bool = False) -> PersonalBatch:
    """Make a batch of one person's three photos, each led by the next."""
    rng = generator(0, "person batch")
    return PersonalBatch(
        clean=photos_of(0),
        low=low_squares(3),
        reference=torch.tensor([1, 2, 0]),
        eps=torch.randn(3, *method.family.latent_shape, generator=rng),
        t=torch.randint(0, 1000, (3,), generator=rng),
        prior=(photos_of(5), low_squares(3)) if with_prior else None,
    )


def restore(
    method: PFStorer,
    who: Sequence[References | None],
    settings: SamplerSettings = SHORT,
    guidance: float = 1.0,
    seeds: list[int] | None = None,
) -> Tensor:
    """Restore low squares of the toy people; seeds count up where none are given."""
    *_, last = method.restore(low_squares(len(who)), who, settings, guidance, seeds or list(range(len(who))))
    return last.x_t
