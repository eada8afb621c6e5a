import json

import pytest

from keepface.engine.choice import Choice, Knobs
from keepface.engine.matching import People, choose
from keepface.engine.photo import restore_photo
from keepface.engine.references import References, gather_references
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError
from keepface.image.files import read_photo

from .plain_restorer import BEN, PlainRestorer, album, person

pytestmark = pytest.mark.shared
CARA, DORA = "lfw-3794", "lfw-5605"  # with BEN on photo 03, from left to right: BEN, CARA, DORA


def known(restorer: PlainRestorer, *names: str) -> People:
    return People(
        tuple(
            References(gather_references(restorer, person(name, 3)).kept, (), name)  # each under their own name
            for name in names
        )
    )


def test_each_face_is_led_by_its_own_person_whatever_the_order_of_people(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))
    faces = sorted(restorer.embedder.detector.detect(photo.pixels), key=lambda face: face.box[0])
    for people in (known(restorer, DORA, BEN, CARA), known(restorer, CARA, DORA, BEN)):
        plans = choose(restorer, photo, faces, people, RestoreSettings())
        assert [plan.led_by.person for plan in plans if plan.led_by] == [BEN, CARA, DORA]


def test_a_face_of_nobody_given_is_left_alone_bit_for_bit(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))
    result = restore_photo(restorer, photo, known(restorer, BEN), RestoreSettings(keep_worse=True))
    by_place = sorted(result.faces, key=lambda face: face.box[0])
    assert [face.restored for face in by_place] == [True, False, False]
    assert [face.person for face in by_place] == [BEN, None, None]
    assert str(by_place[1].reason).startswith("nobody of the people given")
    half = photo.pixels.shape[2] // 2
    assert (result.image.pixels[..., half:] == photo.pixels[..., half:]).all()


def test_nobody_is_in_one_photo_twice(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))
    faces = restorer.embedder.detector.detect(photo.pixels)
    plans = choose(restorer, photo, faces, known(restorer, BEN, CARA), RestoreSettings(same_person_floor=-1.0))
    names = [plan.led_by.person for plan in plans if plan.led_by]
    assert sorted(names) == sorted({BEN, CARA})  # with no floor at all, still once each


def test_people_need_a_name_and_a_reference_each(restorer: PlainRestorer) -> None:
    ben = known(restorer, BEN).known[0]
    for bad in ((ben, ben), (References(ben.kept),), (References((), (), "anna"),)):
        with pytest.raises(RecipeError, match="a name of their own"):
            People(bad)


def test_who_may_be_restored_is_chosen_by_name_and_a_name_that_is_not_there_is_refused(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))
    faces = restorer.embedder.detector.detect(photo.pixels)
    people = known(restorer, BEN, CARA)
    plans = choose(restorer, photo, faces, people, RestoreSettings(choice=Choice(only=(BEN.upper(),))))
    assert sorted(plan.led_by.person for plan in plans if plan.led_by) == sorted((BEN, CARA))  # both are known
    assert [plan.led_by.person for plan in plans if plan.is_restored and plan.led_by] == [BEN]
    with pytest.raises(RecipeError, match=f"{BEN}, {CARA}"):
        choose(restorer, photo, faces, people, RestoreSettings(choice=Choice(only=("dora",))))


def test_a_person_s_knobs_reach_their_face_alone(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))
    faces = restorer.embedder.detector.detect(photo.pixels)
    settings = RestoreSettings(fidelity=0.1, choice=Choice(knobs=(Knobs(CARA, identity=0.3),)))
    plans = choose(restorer, photo, faces, known(restorer, BEN, CARA), settings)
    own = {plan.led_by.person: plan.settings(settings) for plan in plans if plan.led_by}
    assert (own[CARA].fidelity, own[CARA].identity) == (0.1, 0.3)
    assert own[BEN] == settings


def test_asked_for_by_number_a_person_is_looked_for_in_that_face_alone(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))
    faces = restorer.embedder.detector.detect(photo.pixels)
    place = 1 + min(range(3), key=lambda index: faces[index].box[0])  # BEN's number
    other = 1 + place % 3
    wanted = known(restorer, BEN).known[0]
    there = choose(restorer, photo, faces, wanted, RestoreSettings(choice=Choice(only=(str(place),))))
    assert [plan.is_restored for plan in there].count(True) == 1 and there[place - 1].led_by is wanted
    elsewhere = choose(restorer, photo, faces, wanted, RestoreSettings(choice=Choice(only=(str(other),))))
    assert [number for number, plan in enumerate(elsewhere, 1) if plan.is_restored] == [other]  # on the user's word
    assert elsewhere[place - 1].led_by is None


def test_on_the_degraded_album_nobody_is_taken_for_another(restorer: PlainRestorer) -> None:
    truth = json.loads(album("truth.json").read_text())
    people = known(restorer, *sorted({face["person"] for item in truth for face in item["faces"]} - {None}))
    right = 0
    for item in truth[2:6]:
        photo = read_photo(album(item["photo"]))
        faces = restorer.embedder.detector.detect(photo.pixels)
        for plan in choose(restorer, photo, faces, people, RestoreSettings()):
            if plan.led_by is not None:
                x = plan.face.centre[0]
                nearest = min(item["faces"], key=lambda face: abs(face["centre"][0] - x))
                assert plan.led_by.person == nearest["person"]
                right += 1
    assert right == 9  # all who have references on these four photos
