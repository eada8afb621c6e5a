import numpy as np
import pytest

from keepface.faces.mtcnn import Cascade
from keepface.faces.padding import fields, joined, pad_behind
from keepface.weights.store import find

NAMES = ["mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"]


@pytest.mark.parametrize("name", NAMES)
def test_reading_and_writing_a_network_file_gives_its_bytes(name: str) -> None:
    data = find(name).read_bytes()
    assert joined(fields(data)) == data


@pytest.mark.parametrize(("name", "poolings"), [("mtcnn-pnet", 0), ("mtcnn-rnet", 1), ("mtcnn-onet", 1)])
def test_only_the_poolings_that_pad_are_changed(name: str, poolings: int) -> None:
    before = find(name).read_bytes()
    after = pad_behind(before)
    assert before.count(b"SAME_UPPER") - after.count(b"SAME_UPPER") == poolings
    assert after.count(b"\x0a\x04pads\x40\x00\x40\x00\x40\x01\x40\x01\xa0\x01\x07") == poolings
    assert pad_behind(after) == after


def test_bytes_that_are_no_protocol_buffer_are_an_error() -> None:
    with pytest.raises(ValueError, match="wire type"):
        list(fields(b"\x0f"))
    with pytest.raises(ValueError, match="beyond the end"):
        list(fields(b"\x0a\x05ab"))
    with pytest.raises(ValueError, match="within a number"):
        list(fields(b"\x80"))


def test_a_change_of_the_last_column_is_seen() -> None:
    """Padding in front would leave the last of 46 columns to no window of the first pooling."""
    cascade = Cascade()
    picture = np.zeros((48, 48, 3), dtype=np.float32)
    box = np.array([[0.0, 0.0, 48.0, 48.0]])
    plain = cascade.look(picture, box)
    picture[:, 47] = 1
    assert np.abs(cascade.look(picture, box).points - plain.points).max() > 1e-3
