"""Look at photos before they go into the library: read, hash, embed, and compare with the person's other photos."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from keepface.errors import PhotoError, ReferencePhotoError
from keepface.image.files import Photo, read_photo
from keepface.people.features import Known, Networks, strangers
from keepface.people.person import FIRST_YEAR, ReferencePhoto, new_key, printable, today
from keepface.people.store import NewPhoto

ANOTHER_PERSON = "looks like somebody else than the other photos of this person; if it is not, add it with --sure"
DIFFERENT = "these photos look like different people; give photos of one person, or say with --sure that they are"


@dataclass(frozen=True)
class IntakeSettings:
    """How photos are taken in."""

    year: int | None = None  # in which all of them were taken; None: what their EXIF says
    links: bool = False  # keep the paths instead of copies
    is_sure: bool = False  # they show this person, whatever they look like


@dataclass(frozen=True)
class Refused:
    """A photo that was not taken in, and why."""

    source: str
    reason: str


@dataclass(frozen=True, eq=False)
class Intake:
    """What became of the photos of one call."""

    accepted: tuple[NewPhoto, ...]
    duplicates: tuple[Refused, ...]  # the reason names the photo that holds the same bytes
    refused: tuple[Refused, ...]


def look_at(
    paths: Sequence[Path],
    known: Known,
    networks: Networks,
    settings: IntakeSettings = IntakeSettings(),  # noqa: B008 - frozen
    progress: Callable[[int, int], None] | None = None,
) -> Intake:
    """Read and embed photos of one person of whom `known` is in the library; nothing is written.

    A photo is refused with its reason when it can't be read, has no single face, or looks like somebody else.
    """
    records = [photo for photo, _ in known.photos] + [photo for photo, _ in known.problems]
    names = {photo.sha256: photo.name for photo in records}
    read: list[tuple[Path, NewPhoto]] = []
    duplicates, refused = [], []
    for number, path in enumerate(paths):
        try:
            photo = read_photo(path)
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if digest in names:
                duplicates.append(Refused(str(path), f"is the same file as {names[digest]}"))
                continue
            read.append((path, _taken(path, photo, data, networks, settings)))
            names[digest] = printable(path.name)
        except (PhotoError, ReferencePhotoError, OSError) as error:
            refused.append(Refused(str(path), str(error).removeprefix(f"{path}: ")))
        finally:
            if progress:
                progress(number + 1, len(paths))
    odd = set() if settings.is_sure else _strangers(known, [photo for _, photo in read])
    reason = DIFFERENT if odd and not known.photos and len(odd) == len(read) else ANOTHER_PERSON
    refused += [Refused(str(read[index][0]), reason) for index in sorted(odd)]
    accepted = tuple(photo for index, (_, photo) in enumerate(read) if index not in odd)
    return Intake(accepted, tuple(duplicates), tuple(refused))


def year_taken(photo: Photo) -> int | None:
    """Return the year that a camera wrote into the photo (EXIF DateTimeOriginal); a scanner's date is not asked for."""
    if photo.exif is None:
        return None
    try:
        exif = Image.Exif()
        exif.load(photo.exif)
        year = int(str(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal, ""))[:4])
    except Exception:  # Pillow's parsers raise nearly anything on damaged EXIF
        return None
    return year if FIRST_YEAR <= year <= int(today()[:4]) else None


def _taken(path: Path, photo: Photo, data: bytes, networks: Networks, settings: IntakeSettings) -> NewPhoto:
    record = ReferencePhoto(
        key=new_key(),
        sha256=hashlib.sha256(data).hexdigest(),
        name=printable(path.name),
        added=today(),
        year=year_taken(photo) if settings.year is None else settings.year,
        link=str(path.absolute()) if settings.links else None,
        is_sure=settings.is_sure,
    )
    return NewPhoto(record, None if settings.links else data, networks.embed(photo))


def _strangers(known: Known, new: Sequence[NewPhoto]) -> set[int]:
    features = [photo.features.features for photo in new if photo.features is not None]
    return set(strangers([kept.features for _, kept in known.photos], features))
