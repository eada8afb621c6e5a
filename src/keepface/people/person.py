"""Say who is in the library: a person, their reference photos and what the user noted of them."""

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath

from keepface.errors import KeepfaceError
from keepface.image.endings import RAW, READ

NAME_LENGTH = 100
FIRST_YEAR = 1826  # of the oldest photograph that is left
REFUSED_LETTERS = "/\\"
# Kinds of characters that are no part of a name: controls, surrogates, private and unassigned ones, line ends.
REFUSED_KINDS = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
TURNING = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}  # of direction


@dataclass(frozen=True)
class ReferencePhoto:
    """One photo of a person in the library."""

    key: str  # random; names the photo's files
    sha256: str  # of the photo's file
    name: str  # of the file it came from, without folders
    added: str  # day, as 2026-01-31
    year: int | None = None  # in which it was taken
    link: str | None = None  # where the file lies when the library holds no copy
    is_sure: bool = False  # the user said that it shows this person, whatever it looks like

    @property
    def file(self) -> str:
        """Return the name of the library's copy."""
        ending = PurePath(self.name).suffix.lower()
        return self.key + (ending if ending in (*READ, *RAW) else "")


@dataclass(frozen=True)
class Notes:
    """What the user says of a person; all of it may be left out."""

    consent: str | None = None
    consent_noted: str | None = None  # day on which the consent was noted
    relation: str | None = None
    birth_year: int | None = None


@dataclass(frozen=True)
class Person:
    """One person of the library; features and adapters lie in files of their own."""

    key: str  # random; names the person's folder
    name: str
    created: str  # day
    notes: Notes = Notes()
    photos: tuple[ReferencePhoto, ...] = ()


def checked_name(name: str) -> str:
    """Return a person's name in one spelling: composed, without blanks around it.

    Any script will do. A name is never part of a path; what would deceive a terminal or another program is refused.

    Raises:
        KeepfaceError: the name is empty, too long, starts with a dot or a dash, or holds a character that is refused.
    """
    plain = unicodedata.normalize("NFC", name).strip()
    if not plain:
        raise KeepfaceError("a person's name is empty; give one, such as anna")
    if len(plain) > NAME_LENGTH:
        raise KeepfaceError(f"a person's name has {len(plain)} characters; at most {NAME_LENGTH} are kept")
    if plain[0] in ".-":
        raise KeepfaceError(f"{plain!r} is no name for a person: it must not start with a dot or a dash")
    for letter in plain:
        if letter in REFUSED_LETTERS or letter in TURNING or unicodedata.category(letter) in REFUSED_KINDS:
            raise KeepfaceError(f"{ascii(plain)} is no name for a person: it must not hold {ascii(letter)}")
    return plain


def new_name(name: str) -> str:
    """Return the name of somebody who is new, which can't be taken for anything else in `--only`, `--skip` and `--for`.

    Raises:
        KeepfaceError: as `checked_name`; or the name is a number, which stands for a face, or holds a colon.
    """
    plain = checked_name(name)
    if plain.isdecimal():
        raise KeepfaceError(f"{plain!r} is no name for a person: numbers stand for faces; add a word, such as 'anna 3'")
    if ":" in plain:
        raise KeepfaceError(
            f"{plain!r} is no name for a person: it must not hold a colon, which ends the name in --for"
        )
    return plain


def same_name(one: str, other: str) -> bool:
    """Tell whether two checked names are the same person's; capitals make no difference."""
    return unicodedata.normalize("NFC", one.casefold()) == unicodedata.normalize("NFC", other.casefold())


def checked_year(year: int, of: str) -> int:
    """Return a year of the Christian era that a photo or a person of a photo can have; `of` names it in the error.

    Raises:
        KeepfaceError: the year lies before the first photographs' people, or in the future.
    """
    first, last = FIRST_YEAR - 100, date.today().year
    if not first <= year <= last:
        raise KeepfaceError(f"{of} is {year}; it must be from {first} to {last}")
    return year


def checked_notes(notes: Notes) -> Notes:
    """Return notes that can be printed, with a birth year that can be one; a consent gets the day it was noted.

    Raises:
        KeepfaceError: the birth year can't be one.
    """
    consent = None if notes.consent is None else printable(notes.consent)
    relation = None if notes.relation is None else printable(notes.relation)
    noted = printable(notes.consent_noted) if notes.consent_noted else today()
    birth_year = None if notes.birth_year is None else checked_year(notes.birth_year, "the birth year")
    return Notes(consent, None if consent is None else noted, relation, birth_year)


def new_key() -> str:
    """Draw a key: 16 hex digits that say nothing of whose they are."""
    return secrets.token_hex(8)


def today() -> str:
    """Return the day, as 2026-01-31."""
    return date.today().isoformat()


def printable(text: str) -> str:
    """Return a text with what can't be printed as question marks."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
