"""A family that spares memory restores what it restores otherwise, by every method, its passes one by one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from keepface.diffusion.family import Family
from keepface.methods.method import References

from ..toy import low_squares
from . import pfstorer_toy, ridfr_toy


def restore_ridfr(family: Family) -> Tensor:
    method = ridfr_toy.opened(family)
    led_by = [ridfr_toy.people("a", "b", weights=[1.0, 0.4]), None, ridfr_toy.people("c")]
    *_, last = method.restore(low_squares(3), led_by, pfstorer_toy.SHORT, 2.0, [1, 2, 3])
    return last.x_t


def restore_pfstorer(family: Family) -> Tensor:
    method = pfstorer_toy.opened(family)
    method.begin_person(pfstorer_toy.photos_of(0), "personal", seed=0)
    pfstorer_toy.open_gamma(method)
    led_by = [References.learned(), None, References.learned(0.5)]
    return pfstorer_toy.restore(method, led_by, guidance=2.0)


@pytest.mark.parametrize("restore", [restore_ridfr, restore_pfstorer])
def test_the_picture_is_the_same_but_for_rounding(
    restore: Callable[[Family], Tensor], tiny_family_folder: Path
) -> None:
    plain = Family.from_pretrained(tiny_family_folder)
    sparing = Family.from_pretrained(tiny_family_folder, low_memory=True)
    torch.testing.assert_close(restore(sparing), restore(plain), atol=1e-4, rtol=0)
