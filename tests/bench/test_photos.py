"""A suite sees the same squares whether it is given shards or the pack made of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.photos import FolderPhotos, PackPhotos, ShardPhotos, open_photos
from keepface.data.prepare import prepare
from keepface.data.shards import Row, read_shards
from keepface.errors import DataError
from keepface.faces.align import template_face
from keepface.faces.face import Face
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
    with pytest.raises(DataError, match="neither a prepared pack .* shards .* nor people .*keepface data prepare"):
        open_photos(tmp_path)


class TemplateFinder:
    """A detector that finds an aligned face in every large picture, and none in a small one."""

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        return [template_face(image.shape[-1])] if image.shape[-1] >= 100 else []


def test_folders_of_people_are_read_as_they_lie_and_what_can_not_be_used_is_named(tmp_path: Path) -> None:
    for name, side in (("ann/1.png", 160), ("ann/2.png", 128), ("bob/1.png", 48)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_photo(Photo(pixels=drawn(side, side)), path)
    (tmp_path / "bob" / "notes.txt").write_text("no picture")
    photos = FolderPhotos(tmp_path, TemplateFinder())
    assert photos.identities == ["ann", "ann"]
    assert photos.native_px == pytest.approx([1.2 * 160, 1.2 * 128])
    assert [item.origin for item in photos.left_out] == ["bob/1.png", "bob/notes.txt"]
    assert "no face was found" in photos.left_out[0].reason
    square = photos.square(1, 128)  # an aligned square of that size already
    assert float((square - drawn(128, 128)).abs().mean()) < 0.01
