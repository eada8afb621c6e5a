"""A family that spares memory restores what it restores otherwise."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from keepface.diffusion.family import Family, stream_weights
from keepface.diffusion.guidance import in_parts
from keepface.diffusion.sampler import SamplerSettings
from keepface.methods.faceme import FaceMe

from ..toy import low_squares, references

CPU = torch.device("cpu")


def restore(family: Family) -> Tensor:
    *_, last = FaceMe.load(family).restore(
        low_squares(2), [references("a"), None], SamplerSettings("ddim", 2), 3.0, [1, 2]
    )
    return family.decode(last.x_t)


def test_the_picture_is_the_same_but_for_rounding(tiny_family_folder: Path) -> None:
    plain = Family.from_pretrained(tiny_family_folder)
    sparing = Family.from_pretrained(tiny_family_folder, low_memory=True)
    assert (plain.at_once, sparing.at_once) == (None, 1) and sparing.device == CPU
    torch.testing.assert_close(restore(sparing), restore(plain), atol=1e-4, rtol=0)


def test_a_network_whose_weights_are_brought_layer_by_layer_computes_the_same(tiny_family_folder: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    x, c = torch.randn(2, 4, 4, 4), family.prompt.tokens.expand(2, -1, -1)
    added = {"encoder_hidden_states": c, "added_cond_kwargs": family.added_conditions(torch.full((2,), 32.0))}
    with torch.no_grad():
        before = family.unet(x, torch.tensor(5), **added).sample
        stream_weights(family.unet, CPU)
        assert torch.equal(family.unet(x, torch.tensor(5), **added).sample, before)


@pytest.mark.parametrize("at_once", [None, 1, 2, 5])
def test_items_predicted_in_parts_are_all_there_and_in_order(at_once: int | None) -> None:
    items, sizes = torch.arange(5.0), []

    def predict(part: slice) -> Tensor:
        sizes.append(len(items[part]))
        return items[part] * 2

    assert torch.equal(in_parts(predict, 5, at_once), items * 2)
    assert max(sizes) == (at_once or 5)
