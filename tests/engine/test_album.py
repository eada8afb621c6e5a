"""What is done stays done: resuming, refusing, retrying and sharing out, against the bytes of an undisturbed run."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from keepface.engine.album import Keep, Kept, Studio, Told, Wishes, restore_album, restore_here
from keepface.engine.batch import Batching, Item, Outcome
from keepface.engine.manifest import FOLDER, Manifest, Shard
from keepface.engine.provenance import Options
from keepface.engine.references import References
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.image.files import Photo, write_photo

from ..toy import SIZE, draw_face

STEPS = 1
OPTIONS = Options(RestoreSettings(steps=STEPS, keep_worse=True), seed=5, is_aligned=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        write_photo(Photo(draw_face(number, 0, SIZE)), path)
    return paths


@pytest.fixture(scope="module")
def studio(tiny_restorer: Restorer) -> Studio:
    return Studio(tiny_restorer, References(), OPTIONS, Batching(2, workers=1))


@pytest.fixture(scope="module")
def undisturbed(photos: list[Path], studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert not any(told.row["error"] for told in run(photos, out, studio))
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != FOLDER}


class Counted:
    """Restores here, and notes what it was given; it may be told to stop, as a plug that is pulled, after so many."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.given: list[str] = []
        self.stop_after = stop_after

    def __call__(self, items: Sequence[Item], studio: Studio, keep: Keep) -> Iterator[Outcome[Kept]]:
        self.given += [item.source.name for item in items]
        for number, outcome in enumerate(restore_here(items, studio, keep)):
            if number == self.stop_after:
                raise KeyboardInterrupt
            yield outcome


def run(
    photos: Sequence[Path],
    out: Path,
    studio: Studio,
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    shard: Shard = Shard(),  # noqa: B008 - frozen
    counted: Counted | None = None,
) -> list[Told]:
    manifest = Manifest(out)
    items = [Item(path, out / path.name) for path in photos]
    try:
        return list(restore_album(items, manifest, studio, wishes, shard, counted or restore_here))
    finally:
        manifest.close()


def test_each_photo_is_entered_with_all_that_made_it(
    photos: list[Path], studio: Studio, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    told = run(photos, tmp_path, studio)
    assert contents(tmp_path) == undisturbed and len(undisturbed) == 5
    assert sorted(one.row["output"] for one in told) == [str(tmp_path / path.name) for path in photos]
    entries = Manifest(tmp_path).entries()
    assert {(entry.status, entry.seed) for entry in entries} == {("done", 5)}
    assert [entry.source for entry in entries] == [str(path) for path in photos]
    assert all(entry.seconds > 0 and len(entry.output_sha256 or "") == 64 for entry in entries)
    assert [path.name for path in (tmp_path / FOLDER).glob("*.part")] == []


def test_what_is_done_is_not_done_again_and_what_was_taken_away_is(
    photos: list[Path], studio: Studio, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    run(photos, tmp_path, studio)
    (tmp_path / "3.png").unlink()
    again = Counted()
    told = run(photos, tmp_path, studio, counted=again)
    assert again.given == ["3.png"] and len(told) == 5 and not any(one.row["error"] for one in told)
    assert contents(tmp_path) == undisturbed


def test_a_stopped_run_goes_on_where_it_was(
    photos: list[Path], studio: Studio, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path, studio, counted=Counted(stop_after=2))
    done = contents(tmp_path)
    assert len(done) == 2
    again = Counted()
    run(photos, tmp_path, studio, counted=again)
    assert sorted([*again.given, *done]) == sorted(undisturbed) and contents(tmp_path) == undisturbed


def test_a_crash_between_the_name_and_the_entry_is_seen_by_the_hash(
    photos: list[Path], studio: Studio, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    run(photos, tmp_path, studio)
    manifest = Manifest(tmp_path)
    named, unnamed = (replace(manifest.get(name) or pytest.fail(), status="writing") for name in ("0.png", "1.png"))
    manifest.put(named)  # its file took its name
    manifest.put(unnamed)  # its file did not
    manifest.close()
    (tmp_path / "1.png").unlink()
    (tmp_path / FOLDER / "1of1-00ff.part").write_bytes(b"half")
    again = Counted()
    run(photos, tmp_path, studio, counted=again)
    assert again.given == ["1.png"] and contents(tmp_path) == undisturbed
    assert {entry.status for entry in Manifest(tmp_path).entries()} == {"done"}
    assert not list((tmp_path / FOLDER).glob("*.part"))


def other_steps(studio: Studio) -> Studio:
    return replace(studio, options=replace(OPTIONS, settings=replace(OPTIONS.settings, steps=STEPS + 1)))


@pytest.mark.parametrize("changed", ["options", "seed", "batch", "photo"])
def test_what_was_made_otherwise_is_refused_until_force(
    photos: list[Path], studio: Studio, tmp_path: Path, changed: str
) -> None:
    source = Path(shutil.copy(photos[0], tmp_path / "0.png"))
    out = tmp_path / "out"
    out.mkdir()
    run([source], out, studio)
    before = contents(out)
    other = {
        "options": other_steps(studio),
        "seed": replace(studio, options=replace(OPTIONS, seed=6)),
        "batch": replace(studio, batching=Batching(3)),
        "photo": studio,
    }[changed]
    if changed == "photo":
        shutil.copy(photos[1], source)
    (told,) = run([source], out, other)
    said = "of another photo" if changed == "photo" else "with other options or references"
    assert f"is there already, made {said}" in told.row["error"] and "--force" in told.row["error"]
    assert contents(out) == before
    (told,) = run([source], out, other, Wishes(force=True))
    assert told.row["error"] is None and (contents(out) != before or changed == "batch")
    again = Counted()
    run([source], out, other, Wishes(force=True), counted=again)
    assert again.given == []  # the same would come out


def test_a_limit_may_be_raised_without_doing_all_again(photos: list[Path], studio: Studio, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    write_photo(Photo(draw_face(9, 0, 3 * SIZE)), wide)
    low = replace(studio, options=replace(OPTIONS, max_pixels=SIZE * SIZE))
    out = tmp_path / "out"
    out.mkdir()
    first = run([photos[0], wide], out, low)
    assert [("--max-pixels" in one.row["error"]) for one in first if one.row["error"]] == [True]
    again = Counted()
    told = run([photos[0], wide], out, studio, Wishes(retry=True), counted=again)
    assert again.given == ["wide.png"] and not any(one.row["error"] for one in told)


def test_failures_are_told_again_and_tried_again_only_when_asked_or_when_the_file_is_another(
    photos: list[Path], studio: Studio, tmp_path: Path
) -> None:
    bad, out = tmp_path / "bad.png", tmp_path / "out"
    bad.write_bytes(b"no picture")
    out.mkdir()
    (first,) = run([bad], out, studio)
    again = Counted()
    (second,) = run([bad], out, studio, counted=again)
    assert again.given == [] and "is no picture" in first.row["error"]
    assert second.row["error"] == f"{first.row['error']} (it failed before; --retry tries again)"
    run([bad], out, studio, Wishes(retry=True), counted=again)
    assert again.given == ["bad.png"]
    shutil.copy(photos[0], bad)
    (mended,) = run([bad], out, studio, counted=again)
    assert again.given == ["bad.png"] * 2 and mended.row["error"] is None and (out / "bad.png").exists()


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_file_that_somebody_else_wrote_or_changed_is_left_alone(
    photos: list[Path], studio: Studio, undisturbed: dict[str, bytes], tmp_path: Path, is_ours: bool
) -> None:
    if is_ours:
        run(photos[:1], tmp_path, studio)
    (tmp_path / "0.png").write_bytes(b"mine")
    (told,) = run(photos[:1], tmp_path, studio)
    assert told.row["error"] is None and (tmp_path / "0.png").read_bytes() == b"mine"
    run(photos[:1], tmp_path, studio, Wishes(force=True))
    assert (tmp_path / "0.png").read_bytes() == undisturbed["0.png"]


def test_a_file_that_appears_while_its_photo_is_restored_is_not_written_over(
    photos: list[Path], studio: Studio, tmp_path: Path
) -> None:
    def meanwhile(items: Sequence[Item], studio: Studio, keep: Keep) -> Iterator[Outcome[Kept]]:
        for outcome in restore_here(items, studio, keep):
            outcome.item.output.write_bytes(b"mine")
            yield outcome

    (told,) = restore_album([Item(photos[0], tmp_path / "0.png")], Manifest(tmp_path), studio, run=meanwhile)
    assert "somebody else wrote it meanwhile" in told.row["error"]
    assert (tmp_path / "0.png").read_bytes() == b"mine" and not list((tmp_path / FOLDER).glob("*.part"))


def test_shards_together_are_the_whole_and_each_does_its_own(
    photos: list[Path], studio: Studio, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    given: list[str] = []
    for index in (1, 2, 3):
        counted = Counted()
        run(photos, tmp_path, studio, shard=Shard(index, 3), counted=counted)
        given += counted.given
    assert sorted(given) == sorted(undisturbed) and contents(tmp_path) == undisturbed
