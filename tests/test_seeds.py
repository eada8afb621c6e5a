"""Streams are reproducible, independent of each other and of the batch."""

import numpy as np
import torch

from keepface.seeds import derive, generator, noise, numpy_generator


def test_a_derived_seed_depends_on_every_part_and_on_their_order() -> None:
    seeds = {
        derive(0),
        derive(1),
        derive(0, "a"),
        derive(0, "b"),
        derive(0, "a", "b"),
        derive(0, "b", "a"),
        derive(0, 1),
    }
    assert len(seeds) == 7


def test_names_can_not_run_together() -> None:
    assert derive(0, "ab", "c") != derive(0, "a", "bc")


def test_a_derived_seed_fits_a_signed_64_bit_integer() -> None:
    assert all(0 <= derive(seed, "x") < 2**63 for seed in range(200))


def test_the_same_seed_draws_the_same_numbers() -> None:
    first, second = (torch.randn(8, generator=generator(3, "item", 5)) for _ in range(2))
    assert torch.equal(first, second)
    assert np.array_equal(numpy_generator(3, "x").random(8), numpy_generator(3, "x").random(8))


def test_an_item_draws_the_same_noise_alone_and_in_a_batch() -> None:
    alone = noise((3, 4, 4), [generator(7)])
    batch = noise((3, 4, 4), [generator(1), generator(7), generator(9)])
    assert torch.equal(alone[0], batch[1])


def test_streams_with_different_names_are_uncorrelated() -> None:
    first = torch.randn(20_000, generator=generator(0, "a"))
    second = torch.randn(20_000, generator=generator(0, "b"))
    # The correlation of independent normals has a standard deviation of 1 / sqrt(n).
    assert abs(float((first * second).mean())) < 4 / 20_000**0.5


def test_noise_is_standard_normal() -> None:
    sample = noise((200_000,), [generator(0, "moments")])
    assert abs(float(sample.mean())) < 4 / 200_000**0.5
    assert abs(float(sample.var()) - 1) < 4 * (2 / 200_000) ** 0.5
