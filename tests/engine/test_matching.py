import pytest

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
    assert by_place[1].reason == "nobody of the people given"
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
