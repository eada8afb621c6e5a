import io
from pathlib import Path

import pytest
from PIL import Image

from keepface.image.files import read_photo
from keepface.people.features import Known, Networks
from keepface.people.intake import ANOTHER_PERSON, DIFFERENT, IntakeSettings, look_at, year_taken

from ..engine.plain_restorer import ANNA, BEN, landscape, person
from .conftest import EXAMPLES

ONE, TWO = EXAMPLES / "reference-1.jpg", EXAMPLES / "reference-2.jpg"
NOBODY = Known((), ())


def with_date(path: Path, text: str, tag: int) -> Path:
    image = Image.open(ONE)
    exif = image.getexif()
    exif.get_ifd(0x8769)[tag] = text
    image.save(path, exif=exif)
    return path


def test_photos_are_taken_in_with_all_that_is_known_of_them(networks: Networks) -> None:
    intake = look_at([ONE, TWO], NOBODY, networks)
    assert [photo.record.name for photo in intake.accepted] == ["reference-1.jpg", "reference-2.jpg"]
    assert intake.accepted[0].data == ONE.read_bytes() and intake.accepted[0].features is not None
    assert intake.duplicates == intake.refused == ()


def test_a_link_holds_a_path_and_no_copy(networks: Networks) -> None:
    (photo,) = look_at([ONE], NOBODY, networks, IntakeSettings(links=True)).accepted
    assert photo.data is None and photo.record.link == str(ONE.absolute())


def test_a_file_that_is_there_already_is_named_with_its_twin(networks: Networks, tmp_path: Path) -> None:
    twin = tmp_path / "copy.jpg"
    twin.write_bytes(ONE.read_bytes())
    intake = look_at([ONE, twin], NOBODY, networks)
    assert len(intake.accepted) == 1
    assert [(item.source, item.reason) for item in intake.duplicates] == [
        (str(twin), "is the same file as reference-1.jpg")
    ]
    (photo,) = intake.accepted
    assert photo.features is not None
    again = look_at([twin], Known(((photo.record, photo.features),), ()), networks)
    assert again.accepted == () and len(again.duplicates) == 1


def test_what_is_no_photo_of_a_face_is_refused_with_the_reason_and_the_others_go_in(
    networks: Networks, tmp_path: Path
) -> None:
    hill, text = landscape(tmp_path / "hill.png"), tmp_path / "text.jpg"
    text.write_text("hello")
    intake = look_at([hill, text, tmp_path / "gone.jpg", ONE], NOBODY, networks)
    assert len(intake.accepted) == 1
    assert [Path(item.source).name for item in intake.refused] == ["hill.png", "text.jpg", "gone.jpg"]
    reasons = [item.reason for item in intake.refused]
    assert reasons[0].startswith("no face was found") and reasons[1].startswith("is no picture")
    assert reasons[2] == "there is no such file"


def test_the_year_is_the_cameras_and_never_a_scanners(networks: Networks, tmp_path: Path) -> None:
    taken = with_date(tmp_path / "taken.jpg", "1998:07:01 12:00:00", 36867)
    scanned = with_date(tmp_path / "scanned.jpg", "2021:07:01 12:00:00", 36868)
    nonsense = with_date(tmp_path / "nonsense.jpg", "0000:00:00 00:00:00", 36867)
    years = [year_taken(read_photo(path)) for path in (taken, scanned, nonsense, ONE)]
    assert years == [1998, None, None, None]
    (photo,) = look_at([taken], NOBODY, networks, IntakeSettings(year=1990)).accepted
    assert photo.record.year == 1990


def test_names_of_files_that_can_not_be_printed_are_made_so(networks: Networks, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31mb.jpg"
    path.write_bytes(ONE.read_bytes())
    (photo,) = look_at([path], NOBODY, networks).accepted
    assert photo.record.name == "a?[31mb.jpg"


@pytest.mark.shared
def test_somebody_else_is_refused_unless_the_user_is_sure(networks: Networks) -> None:
    anna, ben = person(ANNA, 2), person(BEN, 1)
    first = look_at(anna, NOBODY, networks)
    known = Known(tuple((photo.record, photo.features) for photo in first.accepted if photo.features is not None), ())
    assert len(known.photos) == 2
    assert [item.reason for item in look_at(ben, known, networks).refused] == [ANOTHER_PERSON]
    (photo,) = look_at(ben, known, networks, IntakeSettings(is_sure=True)).accepted
    assert photo.record.is_sure
    both = look_at([anna[0], ben[0]], NOBODY, networks)
    assert both.accepted == () and {item.reason for item in both.refused} == {DIFFERENT}


def test_pictures_of_one_face_in_another_file_are_the_same_person(networks: Networks, tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.open(ONE).resize((160, 160)).save(small, "PNG")
    (tmp_path / "small.png").write_bytes(small.getvalue())
    assert len(look_at([ONE, tmp_path / "small.png"], NOBODY, networks).accepted) == 2
