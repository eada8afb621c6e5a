"""Which faces of a photo are restored, and which of them otherwise than the rest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from keepface.engine.reasons import Reason
from keepface.errors import FaceError, RecipeError
from keepface.faces.face import Face


@dataclass(frozen=True)
class Knobs:
    """How one face is restored; what is `None` is as for the others.

    `who` is a person's name, or a face's number in its photo: 1 is the largest face.
    """

    who: str
    fidelity: float | None = None
    identity: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("fidelity", self.fidelity), ("identity", self.identity)):
            if value is not None and not 0 <= value <= 1:
                raise RecipeError(f"{name} for {self.who} is {value}; it must be from 0 to 1")


@dataclass(frozen=True)
class Choice:
    """Which faces to restore: by person, number (1 is the largest), size and how sure the detector is; by default all.

    A word of digits is a number, any other a person's name, of which capitals make no difference.
    """

    only: tuple[str, ...] = ()  # persons and numbers; none: everybody
    skip: tuple[str, ...] = ()
    min_face: float = 0.0  # width of the face's box in pixels of the photo
    min_score: float = 0.0  # the detector's confidence, 0..1
    knobs: tuple[Knobs, ...] = ()

    def __post_init__(self) -> None:
        if self.min_face < 0 or not 0 <= self.min_score <= 1:
            raise RecipeError(f"min_face is {self.min_face}, min_score {self.min_score}; px, and a number from 0 to 1")
        if "0" in self.named:
            raise RecipeError("faces are counted from 1, the largest; there is no face 0")

    @property
    def named(self) -> tuple[str, ...]:
        """Return all words for faces."""
        return (*self.only, *self.skip, *(item.who for item in self.knobs))

    def check(self, people: Collection[str]) -> None:
        """Refuse a person who is none of the people.

        Raises:
            RecipeError: it names who there is.
        """
        known = {name.casefold() for name in people}
        for word in self.named:
            if not word.isdecimal() and word.casefold() not in known:
                there = ", ".join(sorted(people)) or "nobody: give --people, or a face's number"
                raise RecipeError(f"no person called {word!r} is looked for; those who are: {there}")

    def check_numbers(self, faces: int, source: str) -> None:
        """Refuse the number of a face that a photo does not have; of a photo without faces nothing is asked.

        Raises:
            FaceError: it says how many there are.
        """
        beyond = [word for word in self.named if word.isdecimal() and int(word) > faces]
        if faces and beyond:
            found = "1 face was found" if faces == 1 else f"{faces} faces were found, of which 1 is the largest"
            raise FaceError(f"{source}: there is no face {beyond[0]}; {found}")

    def refusal(self, number: int, face: Face, person: str | None) -> Reason | None:
        """Say why a face is not restored; `None` where it is."""
        if face.width < self.min_face:
            return Reason("narrow", {"width": face.width, "needed": self.min_face})
        if face.score < self.min_score:
            return Reason("unsure", {"score": face.score, "needed": self.min_score})
        if self.only and not _is_named(self.only, number, person):
            return Reason("not_asked")
        return Reason("skipped") if _is_named(self.skip, number, person) else None

    def vouches(self, number: int, person: str | None) -> bool:
        """Tell whether the user says whose face this is: it is asked for by its number, or led as strongly as said."""
        knobs = self.knobs_for(number, person)
        return str(number) in self.only or (knobs is not None and knobs.identity is not None)

    def knobs_for(self, number: int, person: str | None) -> Knobs | None:
        """Return the knobs of a face; those of its number come before those of its person."""
        own = [item for item in self.knobs if _is_named([item.who], number, person)]
        return min(own, key=lambda item: not item.who.isdecimal(), default=None)


def _is_named(words: Sequence[str], number: int, person: str | None) -> bool:
    name = None if person is None else person.casefold()
    return any(int(word) == number if word.isdecimal() else word.casefold() == name for word in words)
