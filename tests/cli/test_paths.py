from pathlib import Path

import pytest
import typer

from keepface.cli.paths import plan


def touched(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_one_photo_goes_to_the_file_named(tmp_path: Path) -> None:
    jobs = plan([tmp_path / "old.jpg"], tmp_path / "new.png")
    assert [job.output for job in jobs.jobs] == [tmp_path / "new.png"] and not jobs.is_batch


def test_several_photos_go_to_a_folder_under_their_names(tmp_path: Path) -> None:
    sources = touched(tmp_path / "a.jpg", tmp_path / "b.bmp")
    jobs = plan(sources, tmp_path / "out")
    assert [job.output.name for job in jobs.jobs] == ["a.jpg", "b.bmp.png"] and jobs.is_batch


def test_of_a_folder_the_photos_are_taken_in_order_and_nothing_else(tmp_path: Path) -> None:
    touched(*(tmp_path / "in" / name for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.jpg", "deep/c.jpg")))
    jobs = plan([tmp_path / "in"], tmp_path / "out")
    assert [job.source.name for job in jobs.jobs] == ["a.jpg", "b.PNG"]


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    jobs = plan([tmp_path / "in"], tmp_path / "out")
    assert jobs.empty == (tmp_path / "in",) and jobs.jobs == ()


def test_two_photos_never_share_an_output(tmp_path: Path) -> None:
    sources = touched(tmp_path / "one" / "a.jpg", tmp_path / "two" / "a.jpg")
    with pytest.raises(typer.BadParameter, match="would both be written to"):
        plan(sources, tmp_path / "out")


@pytest.mark.parametrize("kept", ["old.jpg", "anna.jpg"])
def test_a_photo_given_to_read_is_never_an_output(tmp_path: Path, kept: str) -> None:
    touched(tmp_path / "old.jpg", tmp_path / "anna.jpg")
    with pytest.raises(typer.BadParameter, match="given to read"):
        plan([tmp_path / "old.jpg"], tmp_path / "x" / ".." / kept, [tmp_path / "anna.jpg"])


def test_several_photos_do_not_fit_a_file(tmp_path: Path) -> None:
    sources = touched(tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "out.png")[:2]
    with pytest.raises(typer.BadParameter, match="need a folder"):
        plan(sources, tmp_path / "out.png")
