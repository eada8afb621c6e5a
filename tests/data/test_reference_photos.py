"""References as photos: what they look like, and that a step's are always the same."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.data.pairs import PairSampler, PairSettings
from keepface.data.prepare import Pack
from keepface.data.reference_photos import ReferencePhotos, coarsen
from keepface.errors import RecipeError
from keepface.image.files import from_uint8


class Pixels:
    """Features that are the pixels themselves, and where the nose is."""

    def tokens(self, squares: Sequence[Tensor], landmarks: Sequence[np.ndarray]) -> dict[str, Tensor]:
        noses = torch.from_numpy(np.stack([points[2] for points in landmarks])).float()
        return {"recogniser": noses, "tokens": torch.stack([square.flatten(1).T for square in squares])}


SETTINGS = PairSettings(shift_px=3)


def made(pack: Pack, step: int = 4, seed: int = 1, least: float = 512.0) -> tuple[dict[str, Tensor], PairSampler]:
    sampler = PairSampler(pack, SETTINGS)
    photos = ReferencePhotos(pack, Pixels(), (least, 512.0))
    return photos.features(sampler.plan(step, 5, seed), step, seed), sampler


def test_whole_references_are_the_packs_crops_row_by_row(pack: Pack) -> None:
    found, sampler = made(pack)
    for place, target in enumerate(sampler.plan(4, 5, 1)):
        for number, row in enumerate(target.references):
            tokens, nose = found["tokens"][place, number], found["recogniser"][place, number]
            crop = from_uint8(np.array(pack.images[row % 10])).flatten(1).T
            is_as_it_was = torch.equal(tokens, crop)
            assert is_as_it_was == (row < 10)  # higher rows are changed forms of photo row % 10, changed anew
            assert np.allclose(nose, pack.landmarks[row % 10][2]) == is_as_it_was


def test_what_references_look_like_is_a_function_of_step_and_seed_alone(pack: Pack) -> None:
    one, again = made(pack, least=64.0)[0], made(pack, least=64.0)[0]
    assert torch.equal(one["tokens"], again["tokens"])
    plan = PairSampler(pack, SETTINGS).plan(4, 5, 1)
    photos = ReferencePhotos(pack, Pixels(), (64.0, 512.0))
    assert not torch.equal(photos.features(plan, 5, 1)["tokens"], one["tokens"])
    assert not torch.equal(photos.features(plan, 4, 2)["tokens"], one["tokens"])


def test_resolutions_fill_the_range_asked_for() -> None:
    """What a square of white noise keeps of its variance falls as the area of the resolution it is left."""
    noise = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(0))
    kept = [float(coarsen(noise, share).var() / noise.var()) for share in (1.0, 0.5, 0.25, 0.125)]
    assert kept[0] == 1.0 and kept[0] > 4 * kept[1]
    assert all(3.3 < one / two < 4.7 for one, two in zip(kept[1:], kept[2:], strict=False))
    assert coarsen(noise, 0.001).shape == noise.shape


def test_a_range_that_makes_no_sense_is_refused(pack: Pack) -> None:
    for wrong in ((0.0, 512.0), (128.0, 64.0), (64.0, 1024.0)):
        with pytest.raises(RecipeError, match=r"reference_px is \[.*\]; give two numbers from 1 to 512"):
            ReferencePhotos(pack, Pixels(), wrong)
