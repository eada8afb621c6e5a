"""Vectors come back under their keys, whatever a stop did to the end of the file; work has a time and a peak."""

import math
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from keepface.bench.features import Vectors
from keepface.bench.memory import RESET, Watch

KEYS = [("light", "input", "ann"), ("light", "input", "bob"), ("light", "inputb", "ob")]


def test_vectors_are_read_back_by_their_keys(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "a.bin", 3)
    assert vectors.read(KEYS) == {}
    for number, key in enumerate(KEYS[:2]):
        vectors.append(key, np.array([number, 0.5, -1.0], np.float32))
    found = Vectors(tmp_path / "a.bin", 3).read(KEYS)
    assert {key: vector.tolist() for key, vector in found.items()} == {KEYS[0]: [0, 0.5, -1], KEYS[1]: [1, 0.5, -1]}


@pytest.mark.parametrize("cut", [1, 15, 27])
def test_a_record_cut_short_is_written_over_and_the_last_of_a_key_counts(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.bin"
    vectors = Vectors(path, 3)
    for number, key in enumerate(KEYS):
        vectors.append(key, np.full(3, number, np.float32))
    path.write_bytes(path.read_bytes()[:-cut])
    assert set(vectors.read(KEYS)) == set(KEYS[:2])
    vectors.append(KEYS[2], np.full(3, 7, np.float32))
    vectors.append(KEYS[0], np.full(3, 8, np.float32))
    found = vectors.read(KEYS)
    assert [found[key][0] for key in KEYS] == [8, 1, 7]


def test_a_watch_sees_memory_that_was_given_back() -> None:
    with Watch(torch.device("cpu")) as small:
        pass
    with Watch(torch.device("cpu")) as large, mmap.mmap(-1, 40 * 2**20) as block:  # memory not used before
        block.write(b"1" * len(block))
    assert small.seconds >= 0 and large.seconds > 0
    if not RESET.exists():
        pytest.skip("this system does not tell the highest memory of a piece of work")
    assert math.isnan(large.peak_mib) or large.peak_mib - small.peak_mib > 30
