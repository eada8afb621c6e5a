"""The time-aware encoder in StableSR's sizes and in small ones."""

import pytest
import torch

from keepface.diffusion.time_aware_encoder import TimeAwareEncoder, TimeAwareSettings
from keepface.errors import RecipeError

SMALL = TimeAwareSettings(in_channels=4, width=16, multipliers=(1, 2, 2), attention=(1, 2), heads=2, norm_groups=8)


@pytest.fixture(scope="module")
def small() -> TimeAwareEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TimeAwareEncoder(SMALL).eval().requires_grad_(False)


def test_in_the_published_sizes_it_has_the_published_parameters_and_four_maps() -> None:
    with torch.device("meta"):
        encoder = TimeAwareEncoder(TimeAwareSettings())
        maps = encoder(torch.zeros(1, 4, 64, 64), torch.zeros(1, dtype=torch.long))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 52_494_080  # 52.49 M
    assert {size: tuple(item.shape) for size, item in maps.items()} == {
        (side, side): (1, 256, side, side) for side in (64, 32, 16, 8)
    }


def test_maps_are_known_by_height_and_width_so_that_two_sides_may_differ(small: TimeAwareEncoder) -> None:
    maps = small(torch.zeros(2, 4, 12, 20), torch.tensor([3, 700]))
    assert list(maps) == [(12, 20), (6, 10), (3, 5)]


def test_the_time_changes_what_it_says_of_one_picture(small: TimeAwareEncoder) -> None:
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    for item in small(z, torch.tensor([10, 900])).values():
        assert float((item[0] - item[1]).abs().max()) > 1e-3


def test_pictures_of_a_batch_do_not_see_each_other(small: TimeAwareEncoder) -> None:
    z = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([10, 500, 900])
    together, alone = small(z, t), small(z[1:2], t[1:2])
    for size, item in alone.items():
        torch.testing.assert_close(together[size][1:2], item, atol=1e-5, rtol=1e-5)


def test_sizes_that_can_not_be_built_are_refused_with_the_reason() -> None:
    with pytest.raises(RecipeError, match="width 20 can't be cut into 32 norm groups and 4 heads"):
        TimeAwareSettings(width=20)
    with pytest.raises(RecipeError, match="at least one each"):
        TimeAwareSettings(multipliers=())
