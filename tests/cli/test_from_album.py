"""keepface restore --from-album: what is said, what is refused, and what is done again when the album grows."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from keepface.cli.restore_words import why_unchanged
from keepface.engine.manifest import FOLDER, Manifest

from ..engine.plain_restorer import PlainRestorer, album, landscape

Keepface = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--people",), "finds references in the album"),
        (("--tile",), "leave out --tile and --scale, or --from-album"),
        (("--engine", "ray"), "on this machine alone"),
        (("--sidecar",), "they don't go with files beside the pictures"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_work(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    folder = landscape(tmp_path / "in.png").parent
    result = keepface("restore", folder, "-o", tmp_path / "out", "--from-album", *words)
    assert result.exit_code == 2 and told in result.output
    assert not list((tmp_path / "out").glob("*.png"))


def test_a_single_photo_is_no_album_and_all_faces_needs_one(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    photo = landscape(tmp_path / "in.png")
    alone = keepface("restore", photo, "-o", tmp_path / "out.png", "--from-album")
    assert alone.exit_code == 2 and "give a folder of photos" in alone.output
    lonely = keepface("restore", tmp_path, "-o", tmp_path / "out", "--all-faces")
    assert lonely.exit_code == 2 and "goes with --from-album" in lonely.output


def test_why_faces_are_unchanged_is_counted_by_reason() -> None:
    def row(*codes: str, **more: str) -> dict[str, object]:
        reasons = [{"code": code, "values": {}} | more for code in codes]
        return {"box": [0, 0, 1, 1], "outcome": "unchanged", "reasons": reasons}

    restored = {"box": [0, 0, 1, 1], "outcome": "restored", "reasons": [{"code": "sharp", "values": {}}]}
    faces = [row("sharp"), row("holds_more"), row("like_no_other"), row("weaker", "lost", way="restored"), restored]
    told = why_unchanged([{"faces": faces}, {"faces": [row("skipped")]}])
    assert told == "2 already sharp, 1 of nobody else in the album, or not surely, 1 no better for it, 1 not asked for"


@pytest.mark.shared
def test_a_folder_guides_itself_and_grows_without_being_done_again(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("clean/04.png", "photos/03.jpg"):
        shutil.copy(album(name), source / name.replace("/", "-"))
    first = keepface("restore", source, "-o", out, "--from-album", "--keep-worse")
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[0].startswith("found 1 person in 2 photos: album 1 (2 faces, 1 good); ")
    assert "1 restored, 0 denoised" in first.stdout and "unchanged faces: " in first.stdout
    before = {entry.output: entry for entry in Manifest(out).entries()}
    assert not any("album 1" in str(entry) for entry in before.values())
    landscape(source / "view.png")  # nobody is in it
    again = keepface("restore", source, "-o", out, "--from-album", "--keep-worse", "--json")
    assert again.exit_code == 0, again.output
    said = json.loads(again.stdout)
    assert said["album"]["people"] == [{"person": "album 1", "faces": 2, "good": 1, "references": 1}]
    assert [Path(row["input"]).name for row in said["results"] if row["seconds"]] == ["view.png"]
    after = {entry.output: entry for entry in Manifest(out).entries()}
    assert {name: after[name] for name in before} == before
    shutil.copy(album("clean/02.png"), source)  # with it another face of photo 03 is led
    changed = keepface("restore", source, "-o", out, "--from-album", "--keep-worse")
    assert (
        changed.exit_code == 1 and "photos-03.jpg: is there already, made with other options or refer" in changed.stderr
    )
    assert {path.name for path in out.iterdir()} == {"clean-04.png", "photos-03.jpg", "view.png", "02.png", FOLDER}
