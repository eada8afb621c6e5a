"""Folders to a study: what is matched, what a picture may tell, and what a voter is asked."""

import struct
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from keepface.bench.study.build import Built, build, fit, read_upright
from keepface.bench.study.plan import PICTURES, picture_path, read_study
from keepface.errors import DataError, OutputExistsError, RecipeError

from .drawn_study import METHODS, PHOTOS, draw_folders, drawn_study, gradient, settings_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """A study that no test changes."""
    return drawn_study(tmp_path_factory.mktemp("drawn"))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def test_all_methods_are_shown_at_once_for_every_photo_and_question(whole: tuple[Path, Built]) -> None:
    folder, built = whole
    study = read_study(folder)
    assert study == built.study
    plain = [task for task in study.tasks if not task.right]
    assert Counter(task.question for task in plain) == {"quality": 4, "identity": 4}
    assert all({choice.method for choice in task.choices} == set(METHODS) for task in plain)
    assert {task.photo for task in plain} == set(PHOTOS)


def test_pairs_are_every_two_methods(tmp_path: Path) -> None:
    _, built = drawn_study(tmp_path, compare="pairs")
    shown = Counter(tuple(c.method for c in task.choices) for task in built.study.tasks if not task.right)
    assert shown == {("Alphanet", "Betafix"): 8, ("Alphanet", "Gammalift"): 8, ("Betafix", "Gammalift"): 8}
    assert all(len(task.choices) == 2 for task in built.study.controls)


def test_more_than_four_methods_are_compared_in_pairs_unless_told(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    five = {f"method {n}": tmp_path / METHODS[n % 3] for n in range(5)}
    assert settings_of(tmp_path, methods=five).in_pairs
    assert not settings_of(tmp_path, methods=five, compare="all").in_pairs
    assert not settings_of(tmp_path).in_pairs


def test_files_hold_pixels_alone_at_one_size(whole: tuple[Path, Built]) -> None:
    folder, built = whole
    for task in built.study.tasks:
        heads = set()
        for choice in task.choices:
            found = chunks(picture_path(folder, choice.picture).read_bytes())
            assert {kind for kind, _ in found} == {b"IHDR", b"IDAT", b"IEND"}
            heads.add(found[0][1])
        assert heads == {struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)}  # 8-bit RGB


def test_names_and_dates_of_files_tell_nothing(whole: tuple[Path, Built]) -> None:
    folder, _ = whole
    paths = list((folder / PICTURES).iterdir())
    assert all(len(path.stem) == 16 and int(path.stem, 16) >= 0 for path in paths)
    assert {path.stat().st_mtime for path in paths} == {0.0}


def test_the_same_seed_makes_the_same_study_file_by_file(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    contents = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        build(tmp_path / name, settings_of(tmp_path, seed=seed))
        contents.append({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
    assert contents[0].keys() & contents[2].keys() == {"study.json"}


def test_without_a_seed_no_two_studies_have_names_in_common(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    built = [build(tmp_path / name, settings_of(tmp_path, seed=None)).study for name in ("a", "b")]
    names = [{name for task in study.tasks for name in task.pictures} for study in built]
    assert not names[0] & names[1]


def test_each_voter_has_an_order_of_their_own_and_always_the_same(whole: tuple[Path, Built]) -> None:
    folder, built = whole
    first, again = built.study.tasks_of("voter one"), read_study(folder).tasks_of("voter one")
    assert first == again
    other = built.study.tasks_of("voter two")
    assert {task.id for task in first} == {task.id for task in other} == {task.id for task in built.study.tasks}
    assert [task.id for task in first] != [task.id for task in other]


def test_one_question_is_asked_after_the_other_and_controls_are_spread(whole: tuple[Path, Built]) -> None:
    _, built = whole
    for voter in range(30):
        asked = built.study.tasks_of(f"voter {voter}")
        assert [task.question for task in asked] == ["quality"] * 6 + ["identity"] * 6
        assert [bool(task.right) for task in asked[:3]].count(True) == 1  # one in each half of a block
        assert [bool(task.right) for task in asked[3:6]].count(True) == 1


def test_places_of_the_methods_are_even_over_voters(whole: tuple[Path, Built]) -> None:
    _, built = whole
    first = Counter(
        task.choices[0].method for voter in range(200) for task in built.study.tasks_of(str(voter)) if not task.right
    )
    # 1600 draws: a third each, within five standard deviations
    assert all(abs(first[method] / 1600 - 1 / 3) < 5 * (2 / 9 / 1600) ** 0.5 for method in METHODS)


def test_voters_may_be_asked_about_some_photos_only(tmp_path: Path) -> None:
    _, built = drawn_study(tmp_path, photos_a_voter=2)
    asked = [task for task in built.study.tasks_of("v") if not task.right]
    assert Counter(task.question for task in asked) == {"quality": 2, "identity": 2}
    everyone = {task.photo for voter in range(40) for task in built.study.tasks_of(str(voter)) if not task.right}
    assert everyone == set(PHOTOS)


def test_a_control_holds_the_clean_photo_and_far_worse_copies(whole: tuple[Path, Built]) -> None:
    folder, built = whole
    clean = fit(read_upright(folder.parent / "truths" / "eve-control.png"), 64)
    for task in built.study.controls:
        assert task.photo == "eve-control"  # a photo about which nothing else is asked
        errors = {
            c.picture: float((read_upright(picture_path(folder, c.picture)) - clean).square().mean())
            for c in task.choices
        }
        assert min(errors, key=errors.__getitem__) == task.right and errors[task.right] < 1e-5
        assert sorted(errors.values())[1] > 10 * errors[task.right] + 1e-5
        assert len(set(errors.values())) == len(METHODS)


def test_only_the_identity_question_shows_references(whole: tuple[Path, Built]) -> None:
    _, built = whole
    assert {(task.question, len(task.references)) for task in built.study.tasks} == {("quality", 0), ("identity", 2)}
    assert all(task.input for task in built.study.tasks)


def test_photos_that_a_folder_lacks_are_left_out_with_the_reason(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    (tmp_path / "Betafix" / "bob-jones.jpg").unlink()
    (tmp_path / "references" / "anna-smith").rename(tmp_path / "references" / ".hidden")
    built = build(tmp_path / "study", settings_of(tmp_path))
    assert built.photos == 2
    assert "method Betafix" in built.left_out["bob-jones"] and "references" in built.left_out["anna-smith"]


def test_a_wide_photo_keeps_its_shape_and_another_shape_is_refused(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    for method, ending in (("Alphanet", "png"), ("Betafix", "jpg"), ("Gammalift", "webp")):
        gradient(3, 60).resize((60, 30)).save(tmp_path / method / f"anna-smith.{ending}")
    built = build(tmp_path / "study", settings_of(tmp_path))
    (wide,) = [t for t in built.study.tasks if t.photo == "anna-smith" and t.question == "quality"]
    shapes = {read_upright(picture_path(tmp_path / "study", choice.picture)).shape for choice in wide.choices}
    assert shapes == {(3, 32, 64)}
    gradient(3, 60).save(tmp_path / "Gammalift" / "anna-smith.webp")
    with pytest.raises(DataError, match=r"anna-smith.webp: is 60 x 60, of another shape"):
        build(tmp_path / "other", settings_of(tmp_path))
    assert not (tmp_path / "other").exists() and not list(tmp_path.glob(".*.part"))


def test_a_profile_is_applied_and_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert float(read_upright(tmp_path / "clear.png").min()) == 1.0
    gradient(1, 16).save(tmp_path / "tagged.png", icc_profile=linear.tobytes())
    gradient(1, 16).save(tmp_path / "plain.png")
    difference = read_upright(tmp_path / "tagged.png") - read_upright(tmp_path / "plain.png")
    assert float(difference.abs().max()) <= 1.01 / 255


def test_a_study_is_never_written_over(tmp_path: Path) -> None:
    folder, _ = drawn_study(tmp_path)
    with pytest.raises(OutputExistsError, match="may hold votes"):
        build(folder, settings_of(tmp_path))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"methods": {"one": Path("x")}}, "a comparison needs two"),
        ({"questions": ("beauty",)}, "unknown question 'beauty'"),
        ({"questions": ("quality", "quality")}, "given twice"),
        ({"references": None, "questions": ("identity",)}, "shows reference photos"),
        ({"references": None, "truths": None}, "controls are made of clean photos"),
        ({"compare": "threes"}, "use auto, all, pairs"),
        ({"side": 5}, "from 64 to 2048"),
        ({"controls": -1}, "must be 0 or more"),
        ({"title": "Is alphanet better?"}, "tells voters of 'Alphanet'"),
    ],
)
def test_settings_that_can_not_be_used_are_refused(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        settings_of(tmp_path, **changed)


def test_folders_that_can_not_be_used_are_named(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    missing = {**settings_of(tmp_path).methods, "Betafix": tmp_path / "nowhere"}
    with pytest.raises(DataError, match="nowhere: is no folder"):
        build(tmp_path / "study", settings_of(tmp_path, methods=missing))
    gradient(1, 20).save(tmp_path / "Alphanet" / "bob-jones.bmp")
    with pytest.raises(DataError, match=r"bob-jones.bmp and bob-jones.png are both pictures of bob-jones"):
        build(tmp_path / "study", settings_of(tmp_path))


def test_folders_with_nothing_in_common_are_refused_with_an_example(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    for path in list((tmp_path / "Betafix").iterdir()):
        path.rename(path.with_name(f"restored-{path.name}"))
    with pytest.raises(DataError, match=r"no photo is in all folders.*anna-smith is not in .*Betafix"):
        build(tmp_path / "study", settings_of(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 99}', '{"format": 1, "tasks": [{}]}'])
def test_a_damaged_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(DataError, match=r"study.json"):
        read_study(tmp_path)


def test_a_folder_without_study_or_with_pictures_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="keepface study build"):
        read_study(tmp_path)
    folder, built = drawn_study(tmp_path)
    picture_path(folder, built.study.tasks[0].choices[0].picture).unlink()
    with pytest.raises(DataError, match="is missing, and 0 more"):
        read_study(folder)


def test_controls_take_each_clean_photo_before_any_twice(tmp_path: Path) -> None:
    draw_folders(tmp_path)
    (tmp_path / "truths" / "eve-control.png").unlink()
    built = build(tmp_path / "study", settings_of(tmp_path, controls=4))
    for question in ("quality", "identity"):
        photos = [task.photo for task in built.study.controls if task.question == question]
        assert sorted(photos) == sorted(PHOTOS)


def test_references_serve_as_clean_photos_where_there_are_no_truths(tmp_path: Path) -> None:
    folder, built = drawn_study(tmp_path, truths=None)
    for task in built.study.controls:
        right = picture_path(folder, task.right).read_bytes()
        assert right not in [picture_path(folder, name).read_bytes() for name in task.references]
