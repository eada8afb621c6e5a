import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from keepface.data.pairs import PairSampler, PairSettings
from keepface.data.pool_pack import PoolParts, cells, read_log, write_pool
from keepface.data.pools import LandmarkPose, Likeness, PoolSettings
from keepface.data.prepare import Pack, prepare
from keepface.errors import DataError, OutputExistsError
from keepface.image.files import to_uint8

from .drawn_faces import POINTS, DrawnSource, MeanColour

SETTINGS = PoolSettings(poses=2, expressions=2, batch=3, limit=4)


class Painter:
    """Draws noise from the seed alone; it stops the program at a call when told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls, self.stop_at = 0, stop_at

    def settings(self) -> dict[str, str]:
        return {"painter": "noise"}

    def synthesise(self, targets: Sequence[int], poses: Sequence[int], seeds: Sequence[int]) -> torch.Tensor:
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        return torch.stack([torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def judge(image: torch.Tensor, target: int) -> Likeness:
    """A picture that begins darker than half is of the right person; nobody looks like photo 2's."""
    return Likeness(-1.0 if target == 2 else 1 - float(image[0, 0, 0]), POINTS * 64)


def write(pack: Pack, out: Path, painter: Painter | None = None, settings: PoolSettings = SETTINGS):
    return write_pool(pack, out, PoolParts(painter or Painter(), judge, MeanColour(), LandmarkPose()), settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_new_pack_begins_with_the_old_one_bit_for_bit(pack, tmp_path):
    summary = write(pack, tmp_path / "out")
    new = Pack(tmp_path / "out")
    assert len(new) == len(pack) + summary.accepted
    assert np.array_equal(new.images[: len(pack)], pack.images)
    assert new.identities[: len(pack)] == pack.identities
    assert np.array_equal(new.landmarks[: len(pack)], pack.landmarks)
    for name, values in pack.features.items():
        assert torch.equal(new.features[name][:, : len(pack)], values)


def test_what_passed_follows_under_its_targets_identity_with_features_of_its_own(pack, tmp_path):
    write(pack, tmp_path / "out")
    new = Pack(tmp_path / "out")
    accepted = [line for line in read_log(tmp_path / "out") if line["accepted"]]
    assert new.identities[len(pack) :] == [pack.identities[line["target"]] for line in accepted]
    assert set(new.sources[len(pack) :]) == {"synthetic"}
    row = len(pack)
    colour = torch.from_numpy(new.images[row].copy()).float().mean((0, 1)) / 255
    assert torch.allclose(new.features["colour"][0, row], colour, atol=1e-5)
    assert np.allclose(new.points(row), POINTS * 64, atol=1e-3)


def test_the_square_of_a_row_is_the_picture_and_its_margin_the_mirror(pack, tmp_path):
    painter, drawn = Painter(), []
    kept = painter.synthesise
    painter.synthesise = lambda *given: drawn.append(kept(*given)) or drawn[-1]  # type: ignore[method-assign]
    write(pack, tmp_path / "out", painter)
    new, row = Pack(tmp_path / "out"), len(pack)
    pictures = [to_uint8(picture) for batch in drawn for picture in batch]
    assert any(np.array_equal(new.square(row), picture) for picture in pictures)
    assert np.array_equal(new.images[row][:, :6], new.images[row][:, 12:6:-1])


def test_the_log_has_a_line_a_target_and_cell_and_the_summary_counts_it(pack, tmp_path):
    summary = write(pack, tmp_path / "out")
    log = read_log(tmp_path / "out")
    filled = sorted(set(cells(pack, LandmarkPose(), SETTINGS).tolist()))
    assert [(line["target"], line["cell"]) for line in log] == [(t, c) for t in range(4) for c in filled]
    for line in log:
        assert line["accepted"] == (line["similarity"] >= 0.5) == (line["similarities"][-1] >= 0.5)
        assert len(line["poses"]) == len(line["similarities"]) == line["tries"] <= 3
        assert line["accepted"] or line["tries"] == 3
    assert (summary.targets, summary.wanted, summary.tries) == (4, len(log), sum(line["tries"] for line in log))
    assert sum(summary.per_cell) == summary.accepted == sum(line["accepted"] for line in log)
    assert summary.acceptance == summary.accepted / summary.tries and summary.fill == summary.accepted / len(log)
    assert [line["tries"] for line in log if line["target"] == 2] == [3] * len(filled)


@pytest.mark.parametrize("stop_at", [0, 1, 5, 9])
def test_a_stopped_pool_goes_on_and_ends_in_the_same_bytes(pack, tmp_path, stop_at):
    write(pack, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write(pack, tmp_path / "out", Painter(stop_at))
    assert not (tmp_path / "out").exists()
    for name in ("images.npy", "features.raw", "journal.jsonl"):  # half a row more, as when the power goes
        with (tmp_path / ".out.part" / name).open("ab") as file:
            file.write(b'{"7')
    write(pack, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_pool_that_is_there_is_counted_again_and_nothing_is_drawn(pack, tmp_path):
    painter = Painter()
    assert write(pack, tmp_path / "out") == write(pack, tmp_path / "out", painter)
    assert painter.calls == 0


def test_how_many_are_drawn_together_changes_no_byte(pack, tmp_path):
    write(pack, tmp_path / "a")
    write(pack, tmp_path / "b", settings=PoolSettings(poses=2, expressions=2, batch=16, limit=4))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_pool_with_other_settings_is_not_overwritten_nor_gone_on_with(pack, tmp_path):
    other = PoolSettings(poses=2, expressions=2, limit=4, delta=0.6)
    with pytest.raises(KeyboardInterrupt):
        write(pack, tmp_path / "half", Painter(2))
    with pytest.raises(DataError, match="begun with other settings"):
        write(pack, tmp_path / "half", settings=other)
    write(pack, tmp_path / "out")
    with pytest.raises(OutputExistsError, match="is a pack with"):
        write(pack, tmp_path / "out", settings=other)


def test_synthetic_rows_lead_their_person_and_are_never_targets(pack, tmp_path):
    write(pack, tmp_path / "out", settings=PoolSettings(poses=2, expressions=2))
    new = Pack(tmp_path / "out")
    sampler = PairSampler(new, PairSettings(own_in_pool=False))
    assert sampler.targets == tuple(range(len(pack)))
    rows = {row % len(new) for target in sampler.plan(0, 200, seed=0) for row in target.references}
    assert any(row >= len(pack) for row in rows)


def test_a_pool_of_a_pool_or_without_features_is_refused(pack, tmp_path):
    write(pack, tmp_path / "out")
    with pytest.raises(DataError, match="has a pool already"):
        write(Pack(tmp_path / "out"), tmp_path / "again")
    bare = prepare(DrawnSource(["ann", "bob"]), tmp_path / "bare", 64)
    with pytest.raises(DataError, match="without --no-features"):
        write(bare, tmp_path / "bare-pool")


def test_what_the_old_pack_left_out_is_still_said(tmp_path):
    old = prepare(DrawnSource(["ann", "-", "bob", "cy", "dee"]), tmp_path / "old", 64, MeanColour())
    write(old, tmp_path / "out")
    assert Pack(tmp_path / "out").left_out == old.left_out
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert table["pool"]["synthesiser"] == {"painter": "noise"}
