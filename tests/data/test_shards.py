import io
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from keepface.data.shards import MARGIN, cut_row, read_all, read_folder, read_shards
from keepface.errors import DataError, FaceError
from keepface.faces.align import FFHQ_SIDE, ffhq_template
from keepface.faces.face import Face

from .drawn_faces import POINTS, drawn_row

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "faces"


def encoded(image: torch.Tensor) -> bytes:
    file = io.BytesIO()
    array = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(array).save(file, "WEBP", lossless=True)
    return file.getvalue()


def write_shard(path: Path, people: list[str], damaged: int | None = None) -> None:
    rows = [drawn_row(number, name) for number, name in enumerate(people)]
    parquet.write_table(
        pyarrow.Table.from_pylist(
            [
                {
                    "image": {"bytes": b"RIFF" if number == damaged else encoded(row.image), "path": "x.webp"},
                    "identity": row.identity,
                    "source": row.source,
                    "native_px": row.native_px,
                    "inside": row.inside,
                    "landmarks": row.landmarks.ravel().tolist(),
                }
                for number, row in enumerate(rows)
            ]
        ),
        path,
    )


class OneFace:
    """Finds a face of fixed points in every photo, as many times as the photo is wide in hundreds of pixels."""

    def detect(self, image: torch.Tensor) -> list[Face]:
        points = POINTS * 90.0
        count = image.shape[2] // 100
        return [Face((10.0, 10.0, 80.0, 80.0), points, 1.0)] * count


def test_a_shards_rows_come_back_as_they_were_written(tmp_path):
    write_shard(tmp_path / "train-drawn-00.parquet", ["ann", "bob"])
    write_shard(tmp_path / "train-drawn-01.parquet", ["cy"])
    shards = read_shards(tmp_path)
    rows = list(shards)
    assert [row.identity for row in rows] == ["ann", "bob", "cy"]
    assert len(shards) == 3
    wanted = drawn_row(1, "bob")
    assert (rows[1].image - wanted.image).abs().max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(rows[1].landmarks, wanted.landmarks)
    assert rows[1].native_px == wanted.native_px


def test_a_split_can_name_one_collection(tmp_path):
    write_shard(tmp_path / "train-a-00.parquet", ["ann"])
    write_shard(tmp_path / "train-b-00.parquet", ["bob"])
    write_shard(tmp_path / "val-b-00.parquet", ["cy"])
    assert [row.identity for row in read_shards(tmp_path, "train-b")] == ["bob"]


def test_a_damaged_picture_in_a_shard_is_left_out_by_name(tmp_path):
    write_shard(tmp_path / "train-00.parquet", ["ann", "bob", "cy"], damaged=1)
    rows, left_out = read_all(read_shards(tmp_path))
    assert [row.identity for row in rows] == ["ann", "cy"]
    assert [item.origin for item in left_out] == ["train-00.parquet row 1"]
    assert left_out[0].reason


def test_a_folder_without_shards_says_which_splits_there_are(tmp_path):
    write_shard(tmp_path / "val-drawn-00.parquet", ["ann"])
    with pytest.raises(DataError, match="no shards train.*there are: val-drawn"):
        read_shards(tmp_path)


def test_a_file_that_is_no_shard_of_faces_is_refused(tmp_path):
    (tmp_path / "train-00.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="not a parquet shard"):
        read_shards(tmp_path)
    parquet.write_table(pyarrow.table({"identity": ["ann"]}), tmp_path / "train-00.parquet")
    with pytest.raises(DataError, match="columns image, source, .* are missing"):
        read_shards(tmp_path)


def test_a_cut_crop_puts_the_template_in_its_central_part_at_the_photos_own_scale():
    inner = 100.0  # side of the FFHQ square in the photo
    points = ffhq_template(FFHQ_SIDE) * (inner / FFHQ_SIDE) + 50
    row = cut_row(torch.rand(3, 200, 200, generator=torch.Generator().manual_seed(0)), points, "ann", "folder")
    assert row.native_px == pytest.approx(MARGIN * inner)
    assert row.image.shape == (3, 120, 120)
    assert np.allclose(row.landmarks, points - 40, atol=1e-3)  # the crop begins 10 px before the square
    assert row.inside == pytest.approx(1)


def test_the_share_inside_is_the_part_of_the_crop_over_the_photo():
    points = ffhq_template(FFHQ_SIDE) * (100.0 / FFHQ_SIDE)  # the square begins in the corner, the crop 10 px outside
    row = cut_row(torch.rand(3, 200, 200), points, "ann", "folder")
    assert row.inside == pytest.approx((110 / 120) ** 2, abs=0.02)


def test_a_crop_is_never_larger_than_308_nor_cut_from_a_tiny_face():
    image = torch.rand(3, 900, 900)
    assert cut_row(image, ffhq_template(700) + 50, "ann", "folder").image.shape == (3, 308, 308)
    with pytest.raises(FaceError, match="48 px wide in the photo; 64 px are needed"):
        cut_row(image, ffhq_template(40) + 50, "ann", "folder")


def test_photos_in_folders_of_people_are_cut_or_left_out_with_their_reason(tmp_path):
    for name, width in {"ann/1.png": 120, "ann/2.png": 90, "bob/1.png": 230, "loose.png": 120}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (width, 110), (90, 60, 30)).save(tmp_path / name)
    (tmp_path / "bob" / "2.jpg").write_bytes(b"nothing")
    (tmp_path / "bob" / ".hidden").write_bytes(b"nothing")
    rows, left_out = read_all(read_folder(tmp_path, OneFace()))
    assert [(row.identity, row.source) for row in rows] == [("ann", "folder")]
    reasons = {item.origin: item.reason for item in left_out}
    assert set(reasons) == {"ann/2.png", "bob/1.png", "bob/2.jpg", "loose.png"}
    assert reasons["ann/2.png"] == "no face found"
    assert "two of them of similar size: which one is bob?" in reasons["bob/1.png"]
    assert "person/photo.jpg" in reasons["loose.png"]


def test_an_empty_or_missing_folder_of_people_is_refused(tmp_path):
    with pytest.raises(DataError, match="no files here; lay photos out as person/photo.jpg"):
        read_folder(tmp_path, OneFace())
    with pytest.raises(DataError, match="there is no such folder"):
        read_folder(tmp_path / "none", OneFace())


@pytest.mark.shared
def test_the_shared_shards_hold_the_template_in_their_centre():
    if not SHARED.is_dir():
        pytest.skip("no face data beside the repository")
    rows = list(read_shards(SHARED, "val-london"))
    assert len({row.identity for row in rows}) == 24
    for row in rows:
        side = row.image.shape[-1]
        wanted = ffhq_template(FFHQ_SIDE) * (side / MARGIN / FFHQ_SIDE) + (side - side / MARGIN) / 2
        assert np.abs(row.landmarks - wanted).mean() < 0.03 * side
