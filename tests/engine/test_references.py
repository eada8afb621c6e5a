from pathlib import Path

import pytest
import torch

from keepface.engine.references import ANOTHER_PERSON, as_photo, gather_references
from keepface.errors import RecipeError, ReferencePhotoError
from keepface.image.files import read_photo

from .plain_restorer import ANNA, BEN, PlainRestorer, album, landscape, person

pytestmark = pytest.mark.shared


def test_usable_references_keep_their_order_and_weights(restorer: PlainRestorer) -> None:
    found = gather_references(restorer, person(ANNA, 3), [1.0, 0.5, 0.0])
    assert [item.source for item in found.kept] == [str(path) for path in person(ANNA, 3)]
    assert found.weights == [1.0, 0.5, 0.0]
    assert found.left_out == ()
    assert torch.allclose(found.judged.norm(dim=1), torch.ones(3))


def test_a_reference_without_a_face_is_left_out_and_named(restorer: PlainRestorer, tmp_path: Path) -> None:
    hill = landscape(tmp_path / "hill.png")
    found = gather_references(restorer, [person(ANNA)[0], hill], [0.3, 0.7])
    assert found.weights == [0.3]
    assert found.left_out[0].source == str(hill)
    assert "no face" in found.left_out[0].reason


def test_a_reference_of_two_people_is_left_out_and_named(restorer: PlainRestorer) -> None:
    pair = album("clean/02.png")
    found = gather_references(restorer, [person(ANNA)[0], pair])
    assert len(found.kept) == 1
    assert found.left_out[0].source == str(pair)
    assert "two faces" in found.left_out[0].reason


def test_a_reference_of_another_person_is_left_out_and_named(restorer: PlainRestorer) -> None:
    stranger = person(BEN)[0]
    found = gather_references(restorer, [stranger, *person(ANNA, 3)])
    assert [item.source for item in found.kept] == [str(path) for path in person(ANNA, 3)]
    assert [(item.source, item.reason) for item in found.left_out] == [(str(stranger), ANOTHER_PERSON)]


def test_two_references_that_contradict_each_other_are_refused(restorer: PlainRestorer) -> None:
    with pytest.raises(ReferencePhotoError, match="these references show different people"):
        gather_references(restorer, [person(ANNA)[0], person(BEN)[0]])


def test_strict_refuses_what_would_be_left_out(restorer: PlainRestorer, tmp_path: Path) -> None:
    with pytest.raises(ReferencePhotoError, match=r"hill\.png"):
        gather_references(restorer, [person(ANNA)[0], landscape(tmp_path / "hill.png")], strict=True)


def test_references_of_which_none_can_be_used_are_refused_with_every_reason(
    restorer: PlainRestorer, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(ReferencePhotoError, match=r"hill\.png.*broken\.jpg"):
        gather_references(restorer, [landscape(tmp_path / "hill.png"), broken])


def test_no_references_are_no_error(restorer: PlainRestorer) -> None:
    assert gather_references(restorer, []).kept == ()


@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [1.0, -0.1], [1.0, float("nan")], [1.0, 2.0]])
def test_weights_that_make_no_sense_are_refused(restorer: PlainRestorer, weights: list[float]) -> None:
    with pytest.raises(RecipeError, match="weights"):
        gather_references(restorer, person(ANNA), weights)


def test_a_photo_is_taken_as_a_path_a_name_a_pillow_image_or_itself() -> None:
    from PIL import Image

    path = person(ANNA)[0]
    photo = read_photo(path)
    with Image.open(path) as image:
        taken = [as_photo(item) for item in (path, str(path), photo, image)]
    assert all(torch.equal(item.pixels, photo.pixels) for item in taken)
