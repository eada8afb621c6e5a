"""Many photos in one go: the same pictures as ever, whatever they are batched with."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from keepface.engine import batch
from keepface.engine.batch import Batching, Item, Outcome, restore_each, restore_many
from keepface.engine.matching import People
from keepface.engine.photo import restore_photo
from keepface.engine.provenance import Options
from keepface.engine.references import References, gather_references
from keepface.engine.restorer import Restorer
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError
from keepface.faces.tones import tones_of
from keepface.image.files import Photo, read_photo, write_photo

from ..toy import SIZE, draw_face
from .plain_restorer import ANNA, BEN, PlainRestorer, album, landscape, person

SQUARES = Options(RestoreSettings(steps=2, keep_worse=True), is_aligned=True)


def drawn(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_photo(Photo(draw_face(number, 0, SIZE)), path)
    return paths


def pictures(outcomes: Iterator[Outcome[Restoration]]) -> dict[str, Tensor]:
    return {one.item.source.name: one.made.image.pixels for one in outcomes if one.made is not None}


class Recorded(Restorer):
    """The real thing, which notes how many squares it was given, and fails where it is told to."""

    def __init__(self, real: Restorer, cursed: Tensor | None = None) -> None:
        super().__init__(real.method, real.embedder, real.judge)
        self.given: list[int] = []
        self.cursed = cursed

    def restore_squares(self, low: Tensor, *rest: Any) -> Tensor:
        self.given.append(len(low))
        if self.cursed is not None and any(torch.equal(square, self.cursed) for square in low):
            raise RuntimeError("the networks stumble")
        return super().restore_squares(low, *rest)


def test_a_picture_is_bit_for_bit_the_same_whatever_it_is_batched_with(tiny_restorer: Restorer, tmp_path: Path) -> None:
    paths = drawn(tmp_path, 7)
    whole = pictures(restore_many(tiny_restorer, paths, References(), SQUARES, Batching(4, workers=3)))
    assert len(whole) == 7
    for some in (paths[::-1], paths[5:], [paths[3], paths[0]]):
        again = pictures(restore_many(tiny_restorer, some, References(), SQUARES, Batching(4, workers=1)))
        assert sorted(again) == sorted(path.name for path in some)
        assert all(torch.equal(again[name], whole[name]) for name in again)


def test_every_batch_is_as_long_as_the_others_and_full_ones_wait_for_nobody(
    tiny_restorer: Restorer, tmp_path: Path
) -> None:
    recorded = Recorded(tiny_restorer)
    assert len(list(restore_many(recorded, drawn(tmp_path, 6), References(), SQUARES, Batching(4)))) == 6
    assert recorded.given == [4, 4]  # four, and two with repeats


def test_alone_in_its_batch_a_square_is_what_restore_photo_makes_of_it(tiny_restorer: Restorer, tmp_path: Path) -> None:
    paths = drawn(tmp_path, 3)
    many = pictures(restore_many(tiny_restorer, paths, References(), SQUARES, Batching(squares=1)))
    for path in paths:
        alone = restore_photo(tiny_restorer, path, (), SQUARES.settings, is_aligned=True)
        assert torch.equal(alone.image.pixels, many[path.name])


def test_bad_files_are_told_of_and_stop_nothing(tiny_restorer: Restorer, tmp_path: Path) -> None:
    good = drawn(tmp_path, 3)
    empty, words, cut, missing = (tmp_path / name for name in ("empty.png", "words.png", "cut.png", "missing.png"))
    empty.write_bytes(b"")
    words.write_text("no picture")
    cut.write_bytes(good[0].read_bytes()[:-400])
    paths = [empty, good[0], words, good[1], cut, missing, tmp_path, good[2]]
    outcomes = list(restore_many(tiny_restorer, paths, References(), SQUARES, Batching(2)))
    assert sorted(one.number for one in outcomes) == list(range(8))
    errors = {one.item.source: one.error for one in outcomes if one.error}
    assert set(errors) == {empty, words, cut, missing, tmp_path}
    assert "is empty" in errors[empty] and "there is no such file" in errors[missing]
    fine = pictures(restore_many(tiny_restorer, good, References(), SQUARES, Batching(2)))
    found = pictures(iter(outcomes))
    assert sorted(found) == sorted(fine) and all(torch.equal(found[name], fine[name]) for name in fine)


def test_where_the_networks_stumble_over_one_face_its_neighbours_are_restored(
    tiny_restorer: Restorer, tmp_path: Path
) -> None:
    paths = drawn(tmp_path, 4)
    fine = pictures(restore_many(tiny_restorer, paths, References(), SQUARES, Batching(4)))
    pixels = read_photo(paths[2]).pixels
    cursed = Recorded(tiny_restorer, tones_of(pixels).there(pixels))
    outcomes = list(restore_many(cursed, paths, References(), SQUARES, Batching(4)))
    (bad,) = (one for one in outcomes if one.error)
    assert bad.item.source == paths[2] and "RuntimeError: the networks stumble" in str(bad.error)
    found = pictures(iter(outcomes))
    assert len(found) == 3 and all(torch.equal(found[name], fine[name]) for name in found)


def test_what_cannot_be_made_of_one_photo_is_told_of_it_alone(tiny_restorer: Restorer, tmp_path: Path) -> None:
    def make(item: Item, restoration: Restoration) -> str:
        if item.source.name == "1.png":
            raise OSError("the disk is full")
        return item.source.name

    items = [Item(path) for path in drawn(tmp_path, 3)]
    outcomes = list(restore_each(tiny_restorer, items, References(), SQUARES, Batching(2), make))
    assert sorted(one.made or str(one.error) for one in outcomes) == ["0.png", "2.png", "the disk is full"]


def test_photos_are_taken_a_few_at_a_time(tiny_restorer: Restorer, tmp_path: Path) -> None:
    paths, taken = drawn(tmp_path, 12), 0

    def walk() -> Iterator[Path]:
        nonlocal taken
        for path in paths:
            taken += 1
            yield path

    most = 0
    for done, _ in enumerate(restore_many(tiny_restorer, walk(), References(), SQUARES, Batching(2, 1)), 1):
        most = max(most, taken - done)
    assert taken == 12 and most <= 2 + 2 * 1 + 2 + 2  # a batch, those behind it, those ahead, and one more batch


def test_photos_that_weigh_too_much_do_not_wait_for_a_full_batch(tiny_restorer: Restorer, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        write_photo(Photo(torch.rand(3, 400, 400)), path)  # 1.8 MiB each while it waits
    recorded = Recorded(tiny_restorer)
    assert len(list(restore_many(recorded, paths, References(), SQUARES, Batching(8, waiting_mib=1)))) == 3
    assert recorded.given == [8, 8, 8]


def test_a_photo_packed_while_it_waits_is_the_same_photo(
    tiny_restorer: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = drawn(tmp_path, 2)
    plain = pictures(restore_many(tiny_restorer, paths, References(), SQUARES, Batching(2)))
    monkeypatch.setattr(batch, "LARGE", 1)
    packed = pictures(restore_many(tiny_restorer, paths, References(), SQUARES, Batching(2)))
    assert all(torch.equal(plain[name], packed[name]) for name in plain)


def test_a_batch_of_none_is_refused() -> None:
    for bad in ({"squares": 0}, {"workers": 0}, {"waiting_mib": 0}):
        with pytest.raises(RecipeError, match="at least 1"):
            Batching(**bad)


def led(restorer: PlainRestorer, names: Sequence[str]) -> People:
    return People(tuple(References(gather_references(restorer, person(name, 2)).kept, (), name) for name in names))


@pytest.mark.shared
def test_faces_of_one_photo_in_several_batches_come_together_again(restorer: PlainRestorer, tmp_path: Path) -> None:
    hill = landscape(tmp_path / "hill.png")
    paths = [album("clean/03.png"), album("photos/00.jpg"), hill, album("clean/02.png")]
    people = led(restorer, [BEN, ANNA])
    options = Options(RestoreSettings(keep_worse=True), provenance=False)
    for references in (References(), people):
        many = pictures(restore_many(restorer, paths, references, options, Batching(2, workers=2)))
        for path in paths:
            alone = restore_photo(restorer, path, references, options.settings)
            assert torch.equal(many[path.name], alone.image.pixels)
    assert all(len(call["seeds"]) in (1, 2, 3) for call in restorer.calls)  # type: ignore[arg-type]


@pytest.mark.shared
def test_a_batch_holds_squares_led_by_equally_many_references(restorer: PlainRestorer) -> None:
    paths = [album("photos/00.jpg"), album("photos/02.jpg"), album("clean/03.png")]
    list(restore_many(restorer, paths, led(restorer, [ANNA, BEN]), batching=Batching(4)))
    assert restorer.calls and all(len(set(call["references"])) == 1 for call in restorer.calls)  # type: ignore[call-overload]
