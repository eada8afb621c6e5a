import numpy as np
import pytest

from keepface.data.prepare import Pack
from keepface.data.unfinished import UnfinishedPack
from keepface.errors import DataError

SETTINGS = {"format": 1, "size": 16, "side": 20, "entries": 3, "features": {"a": 2, "b": 1}, "variants": 1}


def line(name: str) -> dict:
    points = [[float(i), float(i)] for i in range(5)]
    return {"origin": name, "identity": name, "source": "x", "native_px": 20.0, "inside": 1.0, "landmarks": points}


def rows(*values: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.stack([np.full((20, 20, 3), value, np.uint8) for value in values])
    return pixels, np.array([[value, value + 1, 2, 3, 4, 5] for value in values], np.float32)


def test_numbers_come_back_as_features_by_form_and_name(tmp_path):
    pack = UnfinishedPack(tmp_path / "p", SETTINGS)
    pack.append([line("ann"), line("bob")], *rows(7, 9))
    pack.finish()
    features = Pack(tmp_path / "p").features
    assert features["a"].tolist() == [[[7, 8], [9, 10]], [[3, 4], [3, 4]]]
    assert features["b"].tolist() == [[[2], [2]], [[5], [5]]]


def test_what_the_journal_does_not_vouch_for_is_cut_off_even_when_completion_had_begun(tmp_path):
    first = UnfinishedPack(tmp_path / "p", SETTINGS)
    first.append([line("ann")], *rows(1))
    with (first.folder / "images.npy").open("r+b") as file:
        file.write(b"\x93NUMPY\x01\x00" + bytes(120))  # another head, and half a row
        file.seek(0, 2)
        file.write(b"\x05" * 600)
    again = UnfinishedPack(tmp_path / "p", SETTINGS)
    again.append([line("bob")], *rows(2))
    again.finish()
    pack = Pack(tmp_path / "p")
    assert pack.identities == ["ann", "bob"]
    assert pack.images[:, 0, 0, 0].tolist() == [1, 2]


def test_a_pack_of_no_photo_at_all_says_what_became_of_the_first(tmp_path):
    pack = UnfinishedPack(tmp_path / "p", SETTINGS)
    pack.append([{"origin": "a.jpg", "reason": "no face found"}], *pack.nothing)
    with pytest.raises(DataError, match="none of 1 photos can be used: a.jpg: no face found"):
        pack.finish()
    assert not (tmp_path / "p").exists()
