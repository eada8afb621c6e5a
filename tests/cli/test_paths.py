from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from keepface.cli.paths import is_too_long, left_out_words, photos_of, plan, written_name
from keepface.cli.several import spread


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
    assert jobs.refused == ((tmp_path / "in", f"{tmp_path / 'in'}: holds no photos"),) and jobs.jobs == ()


def test_two_photos_of_one_name_get_outputs_of_two(tmp_path: Path) -> None:
    sources = touched(*(tmp_path / name / "IMG_0001.jpg" for name in ("one", "two", "three")))
    names = [job.output.name for job in plan(sources, tmp_path / "out").jobs]
    assert names == ["IMG_0001.jpg", "IMG_0001 (2).jpg", "IMG_0001 (3).jpg"]
    assert [job.output.name for job in plan(sources, tmp_path / "out").jobs] == names


def test_what_of_a_folder_is_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    names = ("a.jpg", "b.HEIC", "c.avif", "film.mp4", "film2.MP4", "notes.txt", "README", "2019/c.jpg", "2020/d.jpg")
    touched(*(tmp_path / "in" / name for name in (*names, ".hidden/e.jpg", ".DS_Store")))
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    jobs = plan([tmp_path / "in"], tmp_path / "out")
    assert [job.output.name for job in jobs.jobs] == ["a.jpg", "b.HEIC", "c.avif"]
    ((_, kinds),) = jobs.left_out
    assert kinds == {".mp4": 2, ".txt": 1, "files without an ending": 1, "folders": 2, ".jpg": 1}
    assert left_out_words(kinds).endswith("2 folders (--recursive takes them in)")


def test_sub_folders_are_taken_in_under_their_names_when_asked(tmp_path: Path) -> None:
    touched(*(tmp_path / "in" / name for name in ("a.jpg", "2019/a.jpg", "2019/deep/a.jpg", "out/old.jpg")))
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")  # a circle
    jobs = plan([tmp_path / "in"], tmp_path / "in" / "out", recursive=True)
    outputs = [job.output.relative_to(jobs.folder).as_posix() for job in jobs.jobs]
    assert outputs == ["2019/a.jpg", "2019/deep/a.jpg", "a.jpg"]  # the outputs of an earlier call are no inputs


def test_a_raw_file_of_a_folder_is_taken_where_something_reads_it(tmp_path: Path) -> None:
    touched(tmp_path / "in" / "a.nef")
    jobs = plan([tmp_path / "in"], tmp_path / "out")
    if find_spec("rawpy") is None:
        assert "keepface[raw]" in left_out_words(jobs.left_out[0][1])
    else:
        assert [job.output.name for job in jobs.jobs] == ["a.nef.png"]


def test_names_at_the_limit_get_outputs_that_can_be_made(tmp_path: Path) -> None:
    for name in ("x" * 251 + ".bmp", "祖" * 83 + ".gif", "y" * 251 + ".jpg"):
        written = written_name(name)
        assert len(written.encode()) <= 255 and written.endswith((".png", ".jpg"))
        assert not is_too_long(tmp_path / written) and is_too_long(tmp_path / (name + "x" * 9))
    same = touched(tmp_path / "one" / ("z" * 251 + ".jpg"), tmp_path / "two" / ("z" * 251 + ".jpg"))
    first, second = (job.output.name for job in plan(same, tmp_path / "out").jobs)
    assert first != second and len(second) == 255 and second.endswith(" (2).jpg")


def test_a_name_that_no_file_can_have_is_planned_like_any_other(tmp_path: Path) -> None:
    jobs = plan([tmp_path / ("x" * 300 + ".jpg")], tmp_path / ("y" * 300 + ".png"))
    assert len(jobs.jobs) == 1 and is_too_long(jobs.jobs[0].output)


def test_references_may_be_folders_and_what_is_missing_is_named(tmp_path: Path) -> None:
    touched(tmp_path / "anna" / "2.jpg", tmp_path / "anna" / "1.heic", tmp_path / "anna" / "notes.txt")
    assert [path.name for path in photos_of([tmp_path / "anna"], "--ref")] == ["1.heic", "2.jpg"]
    (tmp_path / "none").mkdir()
    for path, why in ((tmp_path / "none", "holds no photos"), (tmp_path / "gone.jpg", "there is no such file")):
        with pytest.raises(typer.BadParameter, match=why):
            photos_of([path], "--ref")
    with pytest.raises(typer.BadParameter, match="is an address; save the photo"):
        photos_of([Path("https://example.org/a.jpg")], "--ref")


def test_several_photos_never_make_a_folder_that_is_named_like_a_picture(tmp_path: Path) -> None:
    sources = touched(tmp_path / "a.jpg", tmp_path / "b.jpg")
    with pytest.raises(typer.BadParameter, match="out.png is a name of a picture, and several photos need a folder"):
        plan(sources, tmp_path / "out.png")
    (tmp_path / "odd.png").mkdir()
    assert plan(sources, tmp_path / "odd.png").is_batch


VALUED = ("--ref", "-o", "--seed")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("old --ref a b -o out", "old --ref a --ref b -o out"),
        ("-o out old --ref a b c", "-o out old --ref a --ref b --ref c"),
        ("old --ref a --ref b c --seed 1", "old --ref a --ref b --ref c --seed 1"),
        ("--ref a old -o out", "--ref a old -o out"),  # the first word that belongs to no option is the photo
        ("-o out --ref a old", "-o out --ref a old"),
        ("--force --ref a old --ref b c", "--force --ref a old --ref b --ref c"),
        ("old --ref a -- b", "old --ref a -- b"),
        ("old --ref=a b", "old --ref=a b"),
        ("old --ref", "old --ref"),
    ],
)
def test_several_values_may_follow_one_ref(given: str, meant: str) -> None:
    assert spread(given.split(), VALUED, "--ref") == meant.split()


@pytest.mark.parametrize("kept", ["old.jpg", "anna.jpg"])
def test_a_photo_given_to_read_is_never_an_output(tmp_path: Path, kept: str) -> None:
    touched(tmp_path / "old.jpg", tmp_path / "anna.jpg")
    with pytest.raises(typer.BadParameter, match="given to read"):
        plan([tmp_path / "old.jpg"], tmp_path / "x" / ".." / kept, [tmp_path / "anna.jpg"])


def test_several_photos_do_not_fit_a_file(tmp_path: Path) -> None:
    sources = touched(tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "out.png")[:2]
    with pytest.raises(typer.BadParameter, match="need a folder"):
        plan(sources, tmp_path / "out.png")
