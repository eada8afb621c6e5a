"""Name what was trained for a person, so that adapters over several bases lie side by side, and find it again."""

from keepface.errors import KeepfaceError
from keepface.people.person import Person
from keepface.people.store import Library

HASH_DIGITS = 16  # of the base's fingerprint; the adapter itself holds all of it


def adapter_name(method: str, base: str) -> str:
    """Name a person's adapter by its method and the fingerprint of the base it was learned over."""
    return f"{method}-{base[:HASH_DIGITS]}"


def find_adapter(library: Library, person: Person, method: str, base: str) -> bytes:
    """Return a person's adapter for a base.

    Raises:
        KeepfaceError: there is none; the text says how to train it.
    """
    name, there = adapter_name(method, base), library.adapters(person)
    if name in there:
        return library.read_adapter(person, name)
    others = f" (there are, over other bases: {', '.join(there)})" if there else ""
    raise KeepfaceError(
        f"{person.name} was not trained for {method} over this family{others}: "
        f"keepface person train {person.name}, with the --family you restore with"
    )
