import json
from pathlib import Path

import numpy as np
import pytest
import torch

from keepface.data.prepare import BLOCK, Pack, prepare, side_with_margin
from keepface.data.variants import change
from keepface.errors import DataError, OutputExistsError
from keepface.image.files import to_uint8
from keepface.image.size import resize
from keepface.seeds import numpy_generator

from .drawn_faces import DrawnSource, MeanColour, drawn_row


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_margin_is_a_fifth_of_the_square_and_the_side_even():
    assert [side_with_margin(size) for size in (64, 128, 256, 512)] == [76, 154, 308, 614]


def test_a_pack_holds_the_photos_its_people_and_what_was_left_out(tmp_path):
    pack = prepare(DrawnSource(["ann", "-", "bob"]), tmp_path / "pack", 64)
    assert pack.identities == ["ann", "bob"]
    assert pack.images.shape == (2, 76, 76, 3)
    assert np.array_equal(pack.images[1], to_uint8(resize(drawn_row(2, "bob").image, (76, 76), "bicubic")))
    assert [(item.origin, item.reason) for item in pack.left_out] == [("photo 1", "no face found")]
    assert pack.native_px.tolist() == [100.0, 102.0]
    assert not pack.features


def test_a_points_pixel_centre_keeps_its_place_when_a_crop_is_resized(pack):
    share = (drawn_row(0, "ann").landmarks + 0.5) / 96
    assert np.allclose((pack.landmarks[0] + 0.5) / 76, share, atol=1e-4)


def test_a_square_is_the_centre_and_an_offset_moves_it(pack):
    whole = np.asarray(pack.images[3])
    assert np.array_equal(pack.square(3), whole[6:70, 6:70])
    assert np.array_equal(pack.square(3, offset=(6, -6)), whole[0:64, 12:76])
    assert np.array_equal(pack.square(3, offset=(2, 1), flip=True), whole[7:71, 8:72][:, ::-1])


def test_an_offset_beyond_the_margin_is_refused(pack):
    with pytest.raises(DataError, match="at most 6 px"):
        pack.square(0, offset=(7, 0))


def test_points_follow_the_offset_and_the_mirror(pack):
    plain, moved = pack.points(0), pack.points(0, offset=(3, -2))
    assert np.allclose(plain - moved, [3, -2])
    mirrored = pack.points(0, offset=(3, -2), flip=True)
    assert np.allclose(mirrored[0], [63 - moved[1, 0], moved[1, 1]])


def test_features_are_of_the_photo_first_and_then_of_its_changed_forms(pack):
    assert {name: tuple(values.shape) for name, values in pack.features.items()} == {
        "colour": (3, 10, 3),
        "nose": (3, 10, 2),
    }
    row = drawn_row(4, "ann")
    assert torch.allclose(pack.features["colour"][0, 4], row.image.mean((1, 2)))
    second = change(row.image, row.landmarks, numpy_generator(2, "variant", "photo 4"))
    assert torch.allclose(pack.features["colour"][2, 4], second.image.mean((1, 2)))
    assert torch.allclose(pack.features["nose"][2, 4], torch.from_numpy(second.landmarks[2] / 96).float())


def test_a_stopped_preparation_goes_on_and_ends_in_the_same_bytes(tmp_path):
    names = ["ann", "bob", "-", "ann", "cy"] * 8
    prepare(DrawnSource(names), tmp_path / "whole", 64, MeanColour())
    with pytest.raises(KeyboardInterrupt):
        prepare(DrawnSource(names, stop_at=2 * BLOCK), tmp_path / "pack", 64, MeanColour())
    assert not (tmp_path / "pack").exists()
    # Half a row more than the journal knows of, as when the power goes.
    part = tmp_path / ".pack.part"
    for name, rest in {"images.npy": b"\x07" * 50, "features.raw": b"\x07" * 3, "journal.jsonl": b'{"orig'}.items():
        with (part / name).open("ab") as file:
            file.write(rest)
    source = DrawnSource(names)
    prepare(source, tmp_path / "pack", 64, MeanColour())
    assert source.reads == len(names) - 2 * BLOCK
    assert contents(tmp_path / "pack") == contents(tmp_path / "whole")
    assert not part.exists()


def test_a_preparation_begun_from_other_photos_is_not_mixed_with_these(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare(DrawnSource(["ann"] * 20, stop_at=BLOCK), tmp_path / "pack", 64)
    journal = tmp_path / ".pack.part" / "journal.jsonl"
    journal.write_text(journal.read_text().replace("photo 0", "elsewhere"))
    with pytest.raises(DataError, match="was begun with elsewhere, now it is photo 0; remove the folder"):
        prepare(DrawnSource(["ann"] * 20), tmp_path / "pack", 64)


def test_a_preparation_begun_with_other_settings_is_not_gone_on_with(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare(DrawnSource(["ann"] * 20, stop_at=BLOCK), tmp_path / "pack", 64)
    with pytest.raises(DataError, match="begun with other settings; remove this folder"):
        prepare(DrawnSource(["ann"] * 20), tmp_path / "pack", 128)


def test_a_complete_pack_is_returned_without_reading_a_photo(tmp_path):
    prepare(DrawnSource(["ann"]), tmp_path / "pack", 64)
    source = DrawnSource(["ann"])
    assert len(prepare(source, tmp_path / "pack", 64)) == 1
    assert source.reads == 0


def test_a_pack_with_other_settings_or_another_folder_is_not_overwritten(tmp_path):
    prepare(DrawnSource(["ann"]), tmp_path / "pack", 64)
    with pytest.raises(OutputExistsError, match="with size 64, not 128"):
        prepare(DrawnSource(["ann"]), tmp_path / "pack", 128)
    with pytest.raises(OutputExistsError, match="is no pack"):
        prepare(DrawnSource(["ann"]), tmp_path, 64)


def test_a_source_of_which_nothing_can_be_used_says_why(tmp_path):
    with pytest.raises(DataError, match="none of 2 photos can be used: photo 0: no face found"):
        prepare(DrawnSource(["-", "-"]), tmp_path / "pack", 64)


def test_a_size_that_no_network_takes_is_refused(tmp_path):
    with pytest.raises(DataError, match="multiple of 8"):
        prepare(DrawnSource(["ann"]), tmp_path / "pack", 100)


def test_progress_counts_the_photos_that_are_done(tmp_path):
    seen: list[tuple[int, int]] = []
    names = ["ann", "-"] * 10
    prepare(DrawnSource(names), tmp_path / "pack", 64, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(BLOCK, 20), (20, 20)]


def test_features_are_those_of_each_photo_alone_whatever_it_is_read_with(tmp_path):
    few = prepare(DrawnSource(["ann"] * 3), tmp_path / "few", 64, MeanColour())
    many = prepare(DrawnSource(["ann"] * (BLOCK + 3)), tmp_path / "many", 64, MeanColour())
    assert all(torch.equal(few.features[name], many.features[name][:, :3]) for name in ("colour", "nose"))


def test_a_folder_that_is_no_pack_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(DataError, match="keepface data prepare SOURCE"):
        Pack(tmp_path)


def test_a_pack_with_rows_missing_is_refused(tmp_path):
    prepare(DrawnSource(["ann", "bob"]), tmp_path / "pack", 64)
    table = json.loads((tmp_path / "pack" / "table.json").read_text())
    table["identity"].pop()
    (tmp_path / "pack" / "table.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="damaged"):
        Pack(tmp_path / "pack")
