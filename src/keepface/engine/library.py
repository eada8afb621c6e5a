"""People of the library as those who lead a restoration."""

from keepface.engine.matching import People
from keepface.engine.references import ANOTHER_PERSON, LeftOut, Recognising, Reference, References
from keepface.errors import KeepfaceError, ReferencePhotoError
from keepface.people.features import Networks, strangers
from keepface.people.person import Person
from keepface.people.store import Library


def everybody(restorer: Recognising, library: Library, strict: bool = False) -> tuple[People, tuple[str, ...]]:
    """Return all people of a library with their references, and of each photo that can't be used whose, which and why.

    Raises:
        KeepfaceError: the library holds nobody.
        ReferencePhotoError: nobody has a usable photo or, with `strict`, any photo would be left out.
    """
    all_of_them = [_own(restorer, library, person) for person in library.people()]
    known = tuple(own for own in all_of_them if own.kept)
    problems = tuple(f"{own.person}: {item.source}: {item.reason}" for own in all_of_them for item in own.left_out)
    if problems and (strict or not known):
        raise ReferencePhotoError(f"{'refused, as asked by strict: ' if strict else ''}{'; '.join(problems)}")
    if not known:
        raise KeepfaceError(f"the library {library.folder} holds nobody: keepface person add NAME PHOTO...")
    return People(known), problems


def one_person(
    restorer: Recognising, library: Library, person: Person, given: References, strict: bool = False
) -> References:
    """Return a person's references from the library, and the `given` ones that look like that person.

    Raises:
        ReferencePhotoError: none can be used or, with `strict`, any would be left out.
    """
    own = _own(restorer, library, person)
    odd = set(strangers(own.features, given.features))
    others = (LeftOut(given.kept[index].source, ANOTHER_PERSON) for index in sorted(odd))
    left_out = (*own.left_out, *given.left_out, *others)
    kept = (*own.kept, *(item for index, item in enumerate(given.kept) if index not in odd))
    if not kept or (left_out and strict):
        reasons = "; ".join(f"{item.source}: {item.reason}" for item in left_out)
        raise ReferencePhotoError(f"{'refused, as asked by strict' if kept else 'no reference can be used'}: {reasons}")
    return References(kept, left_out, person.name)


def _own(restorer: Recognising, library: Library, person: Person) -> References:
    known = library.known(person, Networks(restorer.embedder, restorer.judge))
    kept = tuple(Reference(photo.name, item.features, item.judged, 1.0) for photo, item in known.photos)
    return References(kept, tuple(LeftOut(photo.name, reason) for photo, reason in known.problems), person.name)
