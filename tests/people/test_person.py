import pytest

from keepface.errors import KeepfaceError
from keepface.people.person import Notes, ReferencePhoto, checked_name, checked_notes, checked_year, same_name, today


@pytest.mark.parametrize("name", ["anna", "Ännä Müller", "アンナ", "آنا", "O'Neill", "anna 2", "Жанна"])
def test_names_of_any_script_are_kept_as_they_are(name: str) -> None:
    assert checked_name(f"  {name} ") == name


@pytest.mark.parametrize(
    "name",
    ["", "   ", "..", ".anna", "-rf", "a/b", "a\\b", "../anna", "a\0b", "a\nb", "a\x1b[31m", "x" * 101, "a\u202eb"],
)
def test_names_that_play_tricks_are_refused(name: str) -> None:
    with pytest.raises(KeepfaceError):
        checked_name(name)


def test_one_name_has_one_spelling() -> None:
    assert checked_name("A\u0308nna") == "\u00c4nna"
    assert same_name("ÄNNA", "änna") and same_name("Straße", "STRASSE") and not same_name("anna", "hanna")


def test_a_copy_is_named_by_its_key_and_never_by_the_name_of_its_file() -> None:
    def file(name: str) -> str:
        return ReferencePhoto("0123456789abcdef", "", name, today()).file

    assert file("../../evil.JPG") == "0123456789abcdef.jpg"
    assert file("photo.exe") == file("photo.p/ng") == file("photo") == "0123456789abcdef"


def test_years_that_can_not_be_are_refused() -> None:
    assert checked_year(1931, "the birth year") == 1931
    for year in (19, 3000):
        with pytest.raises(KeepfaceError, match=f"the birth year is {year}"):
            checked_year(year, "the birth year")


def test_a_consent_gets_its_day_and_notes_can_be_printed() -> None:
    notes = checked_notes(Notes(consent="by \x1b[2Jphone", relation="aunt"))
    assert notes == Notes("by ?[2Jphone", today(), "aunt", None)
    assert checked_notes(Notes()) == Notes()
