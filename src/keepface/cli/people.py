"""Everybody of the library, for commands that ask whose face each face is."""

from typing import TYPE_CHECKING

from keepface.cli.show import tell
from keepface.errors import KeepfaceError, ReferencePhotoError

if TYPE_CHECKING:
    from keepface.engine.matching import People
    from keepface.engine.references import Recognising
    from keepface.people.store import Library


def everybody(restorer: "Recognising", library: "Library", strict: bool) -> "People":
    """Return all people of a library with their references; photos that can't be used are told of, and left out.

    Raises:
        KeepfaceError: the library holds nobody.
        ReferencePhotoError: nobody has a usable photo or, with `strict`, any photo would be left out.
    """
    from keepface.engine.matching import People
    from keepface.engine.references import LeftOut, Reference, References
    from keepface.people.features import Networks

    networks = Networks(restorer.embedder, restorer.judge)
    known, problems = [], []
    for person in library.people():
        kept = library.known(person, networks)
        problems += [f"{person.name}: {photo.name}: {reason}" for photo, reason in kept.problems]
        items = tuple(Reference(photo.name, item.features, item.judged, 1.0) for photo, item in kept.photos)
        left_out = tuple(LeftOut(photo.name, reason) for photo, reason in kept.problems)
        if items:
            known.append(References(items, left_out, person.name))
    if problems and (strict or not known):
        raise ReferencePhotoError(f"{'refused, as asked by strict: ' if strict else ''}{'; '.join(problems)}")
    if not known:
        raise KeepfaceError(f"the library {library.folder} holds nobody: keepface person add NAME PHOTO...")
    for problem in problems:
        tell(f"reference left out: {problem}")
    return People(tuple(known))
