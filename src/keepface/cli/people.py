"""Everybody of the library, for commands that ask whose face each face is."""

from typing import TYPE_CHECKING

from keepface.cli.show import tell

if TYPE_CHECKING:
    from keepface.engine.matching import People
    from keepface.engine.references import Recognising
    from keepface.people.store import Library


def everybody(restorer: "Recognising", library: "Library", strict: bool) -> "People":
    """Return all people of a library as `keepface.engine.library` does, and tell of photos that are left out."""
    from keepface.engine import library as leading

    people, problems = leading.everybody(restorer, library, strict)
    for problem in problems:
        tell(f"reference left out: {problem}")
    return people
