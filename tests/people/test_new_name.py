import pytest

from keepface.engine.choice import Choice
from keepface.errors import KeepfaceError
from keepface.people.person import checked_name, new_name


@pytest.mark.parametrize(
    ("name", "why"), [("3", "numbers stand for faces"), (" ٣ ", "numbers"), ("anna:1", "a colon"), ("", "is empty")]
)
def test_what_reads_as_another_thing_is_no_name_for_somebody_new(name: str, why: str) -> None:
    with pytest.raises(KeepfaceError, match=why):
        new_name(name)


@pytest.mark.parametrize("name", ["anna 3", "Zoë O'Neil", "祖母", "3rd aunt"])
def test_a_name_that_is_taken_is_one_that_may_be_chosen(name: str) -> None:
    assert new_name(f" {name} ") == checked_name(name) == name
    Choice(only=(name,)).check([name])
