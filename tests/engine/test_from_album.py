"""An album that guides itself: who leads whom, on made-up faces and on photos."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from keepface.engine.album import Studio
from keepface.engine.album_faces import AlbumFace
from keepface.engine.from_album import AlbumPeople, choose_references, leaders_of, people_of_album
from keepface.engine.matching import People, Plan
from keepface.engine.photo import restore_photo
from keepface.engine.provenance import Options
from keepface.engine.reasons import Reason
from keepface.engine.settings import RestoreSettings
from keepface.faces.face import Face

from .plain_restorer import PlainRestorer, album, landscape

OPTIONS = Options(RestoreSettings())
FACE = Face((0.0, 0.0, 10.0, 10.0), np.zeros((5, 2)), 1.0)


def face(
    number: int, held_px: float = 100.0, yaw_deg: float = 0.0, good: bool = True, look: int | None = None
) -> AlbumFace:
    """Make up a face; looks of different numbers are different pictures."""
    seen = np.eye(32)[number if look is None else look] if good else None
    return AlbumFace(f"{number}.png", 0, FACE, np.eye(32)[0], held_px, yaw_deg, good, seen)


def numbers(faces: list[AlbumFace]) -> list[int]:
    return [int(Path(one.source).stem) for one in faces]


def test_a_poor_face_never_leads() -> None:
    own = [face(0, 300.0, good=False), face(1, 80.0), face(2, 90.0)]
    assert numbers(choose_references(own)) == [2, 1]
    assert choose_references(own[:1]) == []


def test_four_lead_at_most_and_the_best_of_each_pose_comes_first() -> None:
    own = [face(n, 200.0 - n) for n in range(6)] + [face(6, 100.0, -30.0), face(7, 90.0, 30.0), face(8, 80.0, 35.0)]
    assert numbers(choose_references(own)) == [0, 6, 7, 1]
    assert numbers(choose_references(own[::-1])) == [0, 6, 7, 1]  # whatever the order


def test_of_copies_of_one_picture_the_one_with_most_detail_leads() -> None:
    assert numbers(choose_references([face(0, 80.0, look=9), face(1, 120.0, look=9), face(2, 90.0)])) == [1, 2]


def test_no_face_leads_itself_or_a_copy_of_itself() -> None:
    chosen = [face(0), face(1), face(2)]
    assert numbers(leaders_of(chosen[1], chosen)) == [0, 2]
    assert numbers(leaders_of(face(7, look=2), chosen)) == [0, 1]
    assert numbers(leaders_of(face(8, good=False), chosen)) == [0, 1, 2]


def test_photos_whose_faces_are_led_as_before_stay_done_when_the_album_grows(restorer: PlainRestorer) -> None:
    alone, asked = Plan(FACE, False, reason=Reason("like_no_other")), Plan(FACE)
    before = Studio(restorer, People((), {"a.png": (alone,)}), OPTIONS)
    after = Studio(restorer, People((), {"b.png": (asked,), "a.png": (alone,)}), OPTIONS)
    other = Studio(restorer, People((), {"a.png": (asked,)}), OPTIONS)
    matched = Studio(restorer, People(()), OPTIONS)
    hashes = [studio.options_sha256(Path("a.png")) for studio in (before, after, other, matched)]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_an_album_without_faces_or_with_bad_files_is_empty(restorer: PlainRestorer, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = people_of_album(restorer, [landscape(tmp_path / "a.png"), tmp_path / "bad.png"], OPTIONS)
    assert found.told == "found 0 people in 2 photos" and found.people.known == () and found.alone == 0


# ---- on photos: of a person on 05 and of one on 04 good pictures, of both poor ones on 03 and 11 ----


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("clean/04.png", "photos/03.jpg", "clean/02.png"):
        shutil.copy(album(name), folder / name.replace("/", "-"))
    return folder


@pytest.mark.shared
def test_poor_faces_are_led_by_good_ones_of_their_own_person(restorer: PlainRestorer, mixed: Path) -> None:
    """On 03 are, from the left, BEN of 04, CARA of 02, and DORA, who is nowhere else."""
    paths = sorted(mixed.iterdir())
    found = people_of_album(restorer, paths, OPTIONS)
    assert [(one.label, one.faces, one.good) for one in found.persons] == [("album 1", 2, 1), ("album 2", 2, 1)]
    plans = plans_of(found, mixed / "photos-03.jpg")
    leaders = [[Path(item.source).name for item in plan.led_by.kept] if plan.led_by else [] for plan in plans]
    assert leaders == [["clean-04.png"], ["clean-02.png"], []]
    assert [plan.is_restored for plan in plans] == [True, True, False]
    assert plans[2].reason == Reason("like_no_other")
    good = [plan for path in paths if "clean" in path.name for plan in plans_of(found, path)]
    assert not any(plan.is_restored for plan in good)  # each is the only good one of its person
    assert {plan.reason.code for plan in good if plan.reason} == {"no_good_photo", "like_no_other"}
    again = people_of_album(restorer, paths[::-1], OPTIONS)
    assert again.told == found.told and again.people.plans is not None
    assert [plan.led_by.person for plan in plans_of(again, mixed / "photos-03.jpg") if plan.led_by] == [
        plan.led_by.person for plan in plans if plan.led_by
    ]
    assert pickle.loads(pickle.dumps(found.people)).plans.keys() == found.people.plans.keys()  # goes to processes


@pytest.mark.shared
def test_a_photo_is_restored_by_its_plans_and_says_whose_face_each_is(restorer: PlainRestorer, mixed: Path) -> None:
    settings = RestoreSettings(keep_worse=True)
    found = people_of_album(restorer, sorted(mixed.iterdir()), replace(OPTIONS, settings=settings))
    result = restore_photo(restorer, mixed / "photos-03.jpg", found.people, settings)
    by_place = sorted(result.faces, key=lambda one: one.box[0] if one.box else 0.0)
    assert [one.restored for one in by_place] == [True, True, False] and by_place[2].person is None
    assert {one.person for one in by_place[:2]} == {"album 1", "album 2"}
    assert restorer.calls[-1]["references"] == [1, 1]
    sharp = restore_photo(restorer, mixed / "clean-02.png", found.people, settings)
    assert not sharp.changed and {one.person for one in sharp.faces} >= {by_place[1].person}
    assert torch.equal(sharp.image.pixels, restore_photo(restorer, mixed / "clean-02.png", People((), {})).image.pixels)


@pytest.mark.shared
def test_asked_for_faces_that_nobody_leads_are_restored_by_the_photo_alone(
    restorer: PlainRestorer, mixed: Path
) -> None:
    settings = RestoreSettings(keep_worse=True)
    found = people_of_album(restorer, sorted(mixed.iterdir()), OPTIONS, unled=True)
    result = restore_photo(restorer, mixed / "photos-03.jpg", found.people, settings)
    assert [one.restored for one in result.faces] == [True] * 3
    assert sorted(restorer.calls[-1]["references"]) == [0, 1, 1]  # type: ignore[call-overload]


def plans_of(found: AlbumPeople, path: Path) -> list[Plan]:
    """Return the plans of a photo, from the left."""
    assert found.people.plans is not None
    return sorted(found.people.plans[str(path)], key=lambda plan: plan.face.box[0])
