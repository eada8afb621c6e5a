"""A person to one zip file and back. Nothing is unpacked by the names in a zip: only what its manifest lists is read.

    keepface-person.json       the format, and the lock if there is one: in the open
    manifest.json              name, notes, photos, adapters, with the SHA-256 of each file
    photos/1.jpg, adapters/1   the files

Features are not in it: they are made anew from the photos where they are first needed.
"""

import contextlib
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from keepface.config import to_dict
from keepface.errors import KeepfaceError, OutputExistsError
from keepface.image.files import photo_from_bytes
from keepface.people.lock import COST, LockSettings, Seal, Unlocked, new_lock, open_lock
from keepface.people.person import (
    Notes,
    Person,
    ReferencePhoto,
    checked_notes,
    checked_year,
    new_key,
    new_name,
    printable,
    today,
)
from keepface.people.private_files import FILE_MODE, UNFINISHED
from keepface.people.records import as_record, as_table
from keepface.people.store import Ask, Library

FORMAT = 1
HEAD, MANIFEST = "keepface-person.json", "manifest.json"
AGAIN = "export the person again"


@dataclass(frozen=True)
class ArchiveLimits:
    """What a zip file may hold, unpacked."""

    files: int = 1000
    file_bytes: int = 512 * 2**20
    all_bytes: int = 2 * 2**30
    manifest_bytes: int = 4 * 2**20


@dataclass(frozen=True)
class ArchivedPhoto:
    """One photo in the manifest."""

    file: str
    sha256: str
    name: str
    year: int | None = None
    is_sure: bool = False


@dataclass(frozen=True)
class ArchivedAdapter:
    """One adapter in the manifest."""

    file: str
    sha256: str
    name: str


@dataclass(frozen=True)
class Manifest:
    """All that a zip file says of a person."""

    name: str
    notes: Notes = Notes()
    photos: tuple[ArchivedPhoto, ...] = ()
    adapters: tuple[ArchivedAdapter, ...] = ()


def export_person(
    library: Library, person: Person, path: Path, passphrase: str | None = None, force: bool = False, cost: int = COST
) -> None:
    """Write a person to a zip file for its owner alone, sealed if there is a passphrase; it appears whole or not.

    Raises:
        OutputExistsError: the file exists and `force` is not set.
        PhotoError: a linked photo is gone.
        KeepfaceError: the file can't be written.
    """
    if path.exists() and not force:
        raise OutputExistsError(f"{path}: exists already; give another name, or --force to replace it")
    lock, seal = new_lock(passphrase, cost) if passphrase is not None else (None, Unlocked())
    aside = path.with_name(f".{secrets.token_hex(8)}{UNFINISHED}")
    try:
        handle = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(handle, "w+b") as file, zipfile.ZipFile(file, "w") as archive:  # photos are compressed already
            head = {"format": FORMAT, "lock": to_dict(lock) if lock else None}
            archive.writestr(zipfile.ZipInfo(HEAD), json.dumps(head, indent=1))
            _pack(archive, library, person, seal)
        os.replace(aside, path)
    except OSError as error:
        raise KeepfaceError(f"{path}: can't be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def import_person(
    library: Library,
    path: Path,
    passphrase: Ask,
    name: str | None = None,
    limits: ArchiveLimits = ArchiveLimits(),  # noqa: B008 - frozen
) -> Person:
    """Take the person of a zip file into a library that is made already, under their own name or another.

    Args:
        passphrase: asked only when the file is sealed.

    Raises:
        KeepfaceError: the file is no such zip, is damaged, holds more than the limits or than its manifest lists, or
            the passphrase is wrong; nothing is kept of it.
        PhotoError: one of its photos is no picture.
        OutputExistsError: there is somebody of this name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, path, limits)
            head = as_table(_read(archive, HEAD, limits.manifest_bytes, path), f"{path}: {HEAD}", AGAIN)
            if head.get("format") != FORMAT:
                raise KeepfaceError(f"{path}: format {head.get('format')!r} is not known; update keepface")
            lock = head.get("lock")
            seal: Seal = Unlocked()
            if lock is not None:
                seal = open_lock(as_record(LockSettings, lock, str(path)), passphrase())
            data = seal.open(_read(archive, MANIFEST, limits.manifest_bytes, path), MANIFEST)
            manifest = as_record(Manifest, as_table(data, f"{path}: {MANIFEST}", AGAIN), str(path))
            files = _files(archive, manifest, seal, limits, path)
    except FileNotFoundError:
        raise KeepfaceError(f"{path}: there is no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise KeepfaceError(f"{path}: is no zip file, or is damaged: {error}") from None
    return _receive(library, manifest, files, name)


def _pack(archive: zipfile.ZipFile, library: Library, person: Person, seal: Seal) -> None:
    photos, adapters = [], []
    for number, photo in enumerate(person.photos, 1):
        file, data = f"photos/{number}{PurePath(photo.file).suffix}", library.photo_bytes(person, photo)
        archive.writestr(zipfile.ZipInfo(file), seal.seal(data, file))
        photos.append(ArchivedPhoto(file, photo.sha256, photo.name, photo.year, photo.is_sure))
    for number, name in enumerate(library.adapters(person), 1):
        file, data = f"adapters/{number}", library.read_adapter(person, name)
        archive.writestr(zipfile.ZipInfo(file), seal.seal(data, file))
        adapters.append(ArchivedAdapter(file, hashlib.sha256(data).hexdigest(), name))
    manifest = Manifest(person.name, person.notes, tuple(photos), tuple(adapters))
    text = json.dumps(to_dict(manifest), indent=1).encode()
    archive.writestr(zipfile.ZipInfo(MANIFEST), seal.seal(text, MANIFEST))


def _check(archive: zipfile.ZipFile, path: Path, limits: ArchiveLimits) -> None:
    """Refuse by the zip's own table what need not be unpacked."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if HEAD not in names or MANIFEST not in names:
        raise KeepfaceError(f"{path}: is no person that keepface exported; it holds no {HEAD} and {MANIFEST}")
    if len(entries) > limits.files or sum(entry.file_size for entry in entries) > limits.all_bytes:
        raise KeepfaceError(
            f"{path}: holds {len(entries)} files of {sum(entry.file_size for entry in entries) / 2**20:.0f} MiB; "
            f"the limits are {limits.files} files and {limits.all_bytes / 2**20:.0f} MiB"
        )
    if len(set(names)) < len(names):
        raise KeepfaceError(f"{path}: holds two files of one name; export the person again")


def _files(
    archive: zipfile.ZipFile, manifest: Manifest, seal: Seal, limits: ArchiveLimits, path: Path
) -> dict[str, bytes]:
    """Read and check what the manifest lists, by its names in the zip."""
    items: list[ArchivedPhoto | ArchivedAdapter] = [*manifest.photos, *manifest.adapters]
    listed = {item.file: item.sha256 for item in items}
    others = sorted(set(archive.namelist()) - {HEAD, MANIFEST, *listed})
    if others or len(listed) < len(items):
        raise KeepfaceError(f"{path}: holds files that its manifest does not list: {ascii(others[:5])}; not imported")
    files = {}
    for name, sha256 in listed.items():
        data = seal.open(_read(archive, name, limits.file_bytes, path), name)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise KeepfaceError(f"{path}: {ascii(name)} is not the file that was exported (another SHA-256)")
        files[name] = data
    return files


def _receive(library: Library, manifest: Manifest, files: Mapping[str, bytes], name: str | None) -> Person:
    photos, data = [], {}
    for item in manifest.photos:
        shown = printable(item.name)
        photo_from_bytes(files[item.file], shown)  # is it a picture?
        year = None if item.year is None else checked_year(item.year, f"the year of {shown}")
        record = ReferencePhoto(new_key(), item.sha256, shown, today(), year, None, item.is_sure)
        photos.append(record)
        data[record.key] = files[item.file]
    notes = checked_notes(manifest.notes)
    person = Person(new_key(), new_name(name or manifest.name), today(), notes, tuple(photos))
    return library.receive(person, data, {item.name: files[item.file] for item in manifest.adapters})


def _read(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    """Read one file, and no more than `most` bytes of it, whatever the zip's table says of its size."""
    try:
        with archive.open(name) as file:
            data = file.read(most + 1)
    except KeyError:
        raise KeepfaceError(f"{path}: {ascii(name)} is listed and not there; export the person again") from None
    if len(data) > most:
        raise KeepfaceError(f"{path}: {ascii(name)} holds more than {most / 2**20:.0f} MiB; not imported")
    return data
