"""Adapters over several bases lie side by side, and who has none is told how to get one."""

import pytest

from keepface.errors import KeepfaceError
from keepface.people.adapters import adapter_name, find_adapter
from keepface.people.store import Library

from .conftest import new_photo

ONE, OTHER = "12" * 32, "ab" * 32


def test_each_base_has_an_adapter_of_its_own(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    for base, data in ((ONE, b"first"), (OTHER, b"second")):
        library.write_adapter(anna, adapter_name("pfstorer", base), data)
    assert library.adapters(anna) == ("pfstorer-1212121212121212", "pfstorer-abababababababab")
    assert [find_adapter(library, anna, "pfstorer", base) for base in (ONE, OTHER)] == [b"first", b"second"]


def test_who_was_not_trained_over_a_base_is_told_what_to_type(library: Library) -> None:
    anna = library.add("anna", [new_photo(1)])
    with pytest.raises(
        KeepfaceError, match="anna was not trained for pfstorer over this family: keepface person train"
    ):
        find_adapter(library, anna, "pfstorer", ONE)
    library.write_adapter(anna, adapter_name("pfstorer", OTHER), b"second")
    with pytest.raises(
        KeepfaceError, match=r"over other bases: pfstorer-abababababababab\): keepface person train anna"
    ):
        find_adapter(library, anna, "pfstorer", ONE)
