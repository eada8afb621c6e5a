"""A suite sees the same squares whether it is given shards or the pack made of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.photos import PackPhotos, ShardPhotos, open_photos
from keepface.data.prepare import prepare
from keepface.data.shards import Row, read_shards
from keepface.errors import DataError
from keepface.image.files import Photo, write_photo
from keepface.image.size import resize
from keepface.seeds import generator

SIDE = 48


def drawn(index: int, side: int = SIDE) -> Float[Tensor, "3 s s"]:
    coarse = torch.rand(3, 6, 6, generator=generator(index, "photos"))
    return resize(coarse, (side, side), "bicubic")


def write_shard(folder: Path, identities: list[str]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    cells = []
    for index, identity in enumerate(identities):
        path = folder / f"{index}.png"
        write_photo(Photo(pixels=drawn(index)), path)
        cells.append(
            {
                "image": {"bytes": path.read_bytes(), "path": path.name},
                "identity": identity,
                "source": "drawn",
                "native_px": 100.0 + index,
                "inside": 1.0,
                "landmarks": [[20.0, 20.0], [28.0, 20.0], [24.0, 25.0], [21.0, 30.0], [27.0, 30.0]],
            }
        )
        path.unlink()
    parquet.write_table(pyarrow.Table.from_pylist(cells), folder / "val-drawn-00.parquet")


def test_shards_and_the_pack_made_of_them_show_the_same_squares(tmp_path: Path) -> None:
    write_shard(tmp_path, ["ann", "ann", "bob"])
    shards = open_photos(tmp_path)
    prepare(read_shards(tmp_path, "val"), tmp_path / "pack", 32)
    pack = open_photos(tmp_path / "pack")
    assert isinstance(shards, ShardPhotos)
    assert isinstance(pack, PackPhotos)
    assert list(shards.identities) == list(pack.identities) == ["ann", "ann", "bob"]
    assert list(shards.native_px) == list(pack.native_px) == [100.0, 101.0, 102.0]
    for index in range(3):
        assert float((shards.square(index, 32) - pack.square(index, 32)).abs().max()) <= 0.5 / 255 + 1e-6


def test_a_square_is_the_middle_of_the_crop() -> None:
    ramp = torch.linspace(0, 1, 154).expand(3, 154, 154)
    photos = ShardPhotos([Row(ramp, "ann", "drawn", 154.0, 1.0, np.zeros((5, 2), np.float32))])
    assert torch.equal(photos.square(0, 128), ramp[:, 13:141, 13:141])


def test_a_folder_that_is_neither_says_how_to_make_a_pack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a prepared pack .* nor shards .*keepface data prepare"):
        open_photos(tmp_path)
