"""Keep people in a folder: one folder a person, named by a random key; what is there is whole, whenever it was stopped.

    library.json                 the format, and the lock if there is one
    people/KEY/person.json       name, notes, photos: written last, so that it is what makes the other files count
    people/KEY/photos/KEY.jpg    copies of the reference photos
    people/KEY/features/KEY      what the networks make of a photo, as safetensors
    people/KEY/adapters/NAME     what was trained for the person
    people/KEY/runs/NAME         where training stands

In a locked library all but library.json is sealed. Leftovers of a stopped call are deleted by the next one.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from keepface.config import to_dict
from keepface.errors import KeepfaceError, OutputExistsError, PhotoError, ReferencePhotoError
from keepface.image.files import Photo, photo_from_bytes
from keepface.people.features import Known, Networks, PhotoFeatures, from_bytes, to_bytes
from keepface.people.lock import COST, LockSettings, Seal, Unlocked, new_lock, open_lock
from keepface.people.person import Notes, Person, ReferencePhoto, checked_name, new_key, new_name, same_name, today
from keepface.people.private_files import (
    FOLDER_MODE,
    UNFINISHED,
    make_private,
    one_at_a_time,
    read_bytes,
    write_private,
)
from keepface.people.records import as_record, as_table

FORMAT = 1
LIBRARY = "KEEPFACE_LIBRARY"  # environment variable: the library's folder
HEAD, RECORD, PEOPLE, TURN = "library.json", "person.json", "people", ".turn"
PHOTOS, FEATURES, ADAPTERS, RUNS = "photos", "features", "adapters", "runs"
FORGOTTEN = ".forgotten-"
COPY = "take it from a copy"
KEY = re.compile(r"[0-9a-f]{16}")
ADAPTER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

Ask = Callable[[], str]


@dataclass(frozen=True, eq=False)
class NewPhoto:
    """A photo on its way into the library."""

    record: ReferencePhoto
    data: bytes | None  # of the file; None: the record's link is kept instead of a copy
    features: PhotoFeatures | None = None  # None: they are made when they are first needed


@dataclass(frozen=True)
class Forgotten:
    """What was deleted of a person."""

    name: str
    photos: int  # copies in the library
    links: tuple[str, ...]  # of photos that the library did not hold: they are where they were
    adapters: int


def default_folder() -> Path:
    """Return the library's folder: that of the environment variable KEEPFACE_LIBRARY, or one in the user's data."""
    given = os.environ.get(LIBRARY)
    return Path(given).expanduser() if given else user_data_path("keepface") / "library"


def open_library(folder: Path, passphrase: Ask) -> "Library":
    """Open a library; a folder that is missing or empty is one that holds nobody, and nothing is written yet.

    Args:
        passphrase: asked only when the library is locked.

    Raises:
        KeepfaceError: the folder holds other things, the library is damaged or of another format, or the passphrase
            is wrong.
        MissingExtraError: the library is locked and the package cryptography is not installed.
    """
    head = folder / HEAD
    if not head.exists():
        if folder.exists() and (not folder.is_dir() or not all(_is_leftover(path) for path in folder.iterdir())):
            raise KeepfaceError(f"{folder}: is no library of people, and not empty; name another folder by --library")
        return Library(folder)
    data = as_table(read_bytes(head), str(head), COPY)
    if data.get("format") != FORMAT:
        raise KeepfaceError(f"{head}: format {data.get('format')!r} is not known; it must be {FORMAT}: update keepface")
    lock = data.get("lock")
    seal = open_lock(as_record(LockSettings, lock, str(head)), passphrase()) if lock else Unlocked()
    library = Library(folder, seal, is_locked=bool(lock))
    library.tidy()
    return library


class Library:
    """The people of one folder; `open_library` makes it. Writing calls take turns, also between processes."""

    def __init__(self, folder: Path, seal: Seal | None = None, is_locked: bool = False) -> None:
        self.folder, self._seal, self.is_locked = folder, seal or Unlocked(), is_locked

    @property
    def is_new(self) -> bool:
        """Tell whether nothing was written yet."""
        return not (self.folder / HEAD).exists()

    def make(self, passphrase: str | None = None, cost: int = COST) -> "Library":
        """Write an empty library, locked if there is a passphrase, and return it; one that is there stays as it is.

        Raises:
            KeepfaceError: the folder can't be made, or the passphrase is too short.
        """
        if not self.is_new:
            return self
        settings, seal = new_lock(passphrase, cost) if passphrase is not None else (None, Unlocked())
        make_private(self.folder)
        with contextlib.suppress(OSError):
            self.folder.chmod(FOLDER_MODE)  # the folder may have been there, empty
        head = {"format": FORMAT, "lock": to_dict(settings) if settings else None}
        write_private(self.folder / HEAD, json.dumps(head, indent=1).encode())
        return Library(self.folder, seal, is_locked=settings is not None)

    def people(self) -> tuple[Person, ...]:
        """Return everybody, by name.

        Raises:
            KeepfaceError: the record of somebody is damaged.
        """
        people = [self._record(folder.name) for folder in self._folders()]
        return tuple(sorted(people, key=lambda person: person.name.casefold()))

    def has(self, name: str) -> bool:
        """Tell whether there is somebody of this name."""
        return any(same_name(checked_name(name), person.name) for person in self.people())

    def find(self, name: str) -> Person:
        """Return the person of a name; capitals make no difference.

        Raises:
            KeepfaceError: there is nobody of this name; the text lists who there is.
        """
        people = self.people()
        for person in people:
            if same_name(checked_name(name), person.name):
                return person
        there = f"it holds {', '.join(person.name for person in people)}" if people else "it is empty"
        raise KeepfaceError(
            f"nobody in the library {self.folder} is called {name!r}; {there}: keepface person add NAME PHOTO..."
        )

    def add(self, name: str, photos: Sequence[NewPhoto], notes: Notes = Notes()) -> Person:  # noqa: B008 - frozen
        """Add photos to a person, who is made if need be; photos that are there by content are not added again.

        What `notes` holds replaces what was noted; what it leaves out stays.

        Raises:
            KeepfaceError: the name can't be one, somebody new would have no photo, or the folder can't be written to.
        """
        with self._turn():
            old = self.find(name) if self.has(name) else Person(new_key(), new_name(name), today())
            there = {photo.sha256 for photo in old.photos}
            fresh = [photo for photo in photos if photo.record.sha256 not in there]
            if not old.photos and not fresh:
                raise KeepfaceError(f"{old.name} has no photos yet: keepface person add {old.name} PHOTO...")
            changed = {key: value for key, value in vars(notes).items() if value is not None}
            person = dataclasses.replace(
                old,
                notes=dataclasses.replace(old.notes, **changed),
                photos=(*old.photos, *(photo.record for photo in fresh)),
            )
            files: dict[str, bytes] = {}
            for photo in fresh:
                if photo.data is not None:
                    files[f"{PHOTOS}/{photo.record.file}"] = photo.data
                if photo.features is not None:
                    files[f"{FEATURES}/{photo.record.key}"] = to_bytes(photo.features)
            self._commit(person, files)
            return person

    def receive(self, person: Person, photos: Mapping[str, bytes], adapters: Mapping[str, bytes]) -> Person:
        """Take a whole person in, as an archive holds them; `photos` by key.

        Raises:
            OutputExistsError: there is somebody of this name.
        """
        with self._turn():
            if self.has(person.name):
                raise OutputExistsError(
                    f"{person.name} is in the library already; keep both with --name OTHER, or forget the old one first"
                )
            files = {f"{PHOTOS}/{photo.file}": photos[photo.key] for photo in person.photos}
            files |= {f"{ADAPTERS}/{_adapter(name)}": data for name, data in adapters.items()}
            self._commit(person, files)
        return person

    def photo_bytes(self, person: Person, photo: ReferencePhoto) -> bytes:
        """Return a reference photo's file: the library's copy, or the file that is linked.

        Raises:
            PhotoError: the file is gone, or is another than it was.
        """
        try:
            copy = f"{PHOTOS}/{photo.file}"
            data = self._read(person, copy) if photo.link is None else read_bytes(Path(photo.link))
        except KeepfaceError as error:
            raise PhotoError(str(error)) from None
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            where = photo.link or photo.name
            raise PhotoError(f"{where}: is not the picture that was added (another SHA-256); add it again")
        return data

    def photo(self, person: Person, photo: ReferencePhoto) -> Photo:
        """Read a reference photo; errors are those of `photo_bytes` and of reading pictures."""
        return photo_from_bytes(self.photo_bytes(person, photo), photo.name)

    def features(self, person: Person, photo: ReferencePhoto) -> PhotoFeatures | None:
        """Return what is kept of a photo, by whatever networks; `None` when there is nothing, or it is damaged."""
        try:
            return from_bytes(self._read(person, f"{FEATURES}/{photo.key}"))
        except KeepfaceError:
            return None

    def known(self, person: Person, networks: Networks) -> Known:
        """Return the features of all photos by these networks; what is missing or made by others is made anew and kept.

        A photo that gives none (its linked file is gone) is named as a problem.
        """
        photos, problems = [], []
        for photo in person.photos:
            kept = self.features(person, photo)
            if kept is None or not networks.made(kept):
                try:
                    kept = networks.embed(self.photo(person, photo))
                except (PhotoError, ReferencePhotoError) as error:
                    problems.append((photo, str(error).removeprefix(f"{photo.name}: ")))
                    continue
                self._keep(person, photo, kept)
            photos.append((photo, kept))
        return Known(tuple(photos), tuple(problems))

    def adapters(self, person: Person) -> tuple[str, ...]:
        """Return the names of the files that were trained for a person."""
        folder = self._folder(person.key) / ADAPTERS
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return tuple(sorted(name for name in names if ADAPTER.fullmatch(name)))

    def read_adapter(self, person: Person, name: str) -> bytes:
        """Return the bytes of a person's adapter.

        Raises:
            KeepfaceError: there is none of this name.
        """
        return self._read(person, f"{ADAPTERS}/{_adapter(name)}")

    def write_adapter(self, person: Person, name: str, data: bytes) -> None:
        """Keep an adapter, in place of an older one of its name; errors are those of `write_run`."""
        with self._turn():
            self._write(self._record(person.key).key, f"{ADAPTERS}/{_adapter(name)}", data)

    def has_run(self, person: Person, name: str) -> bool:
        """Tell whether anything of this name is kept of a training run."""
        return (self._folder(person.key) / RUNS / _adapter(name)).is_file()

    def read_run(self, person: Person, name: str) -> bytes:
        """Return what is kept of a training run; a `KeepfaceError` if there is nothing, or it is damaged."""
        return self._read(person, f"{RUNS}/{_adapter(name)}")

    def write_run(self, person: Person, name: str, data: bytes) -> Path:
        """Keep something of a training run, in place of what was there of this name; return its file.

        Raises:
            KeepfaceError: the name is no plain file name, the person was forgotten, or the folder can't be written to.
        """
        with self._turn():
            return self._write(self._record(person.key).key, f"{RUNS}/{_adapter(name)}", data)

    def end_run(self, person: Person, name: str) -> None:
        """Delete what is kept of a training run."""
        with self._turn():
            (self._folder(person.key) / RUNS / _adapter(name)).unlink(missing_ok=True)

    @contextlib.contextmanager
    def only_run(self, person: Person) -> Iterator[None]:
        """Hold a person's training; a `KeepfaceError` if another process holds it."""
        make_private(self._folder(self._record(person.key).key) / RUNS)
        with one_at_a_time(self._folder(person.key) / RUNS / TURN, waits=False) as alone:
            if not alone:
                raise KeepfaceError(f"{person.name} is being trained by another process; wait for it, or stop it")
            yield

    def forget(self, person: Person) -> Forgotten:
        """Delete all that the library holds of a person; photos that were only linked stay where they are.

        Raises:
            KeepfaceError: a file can't be deleted; the person is gone from the library all the same.
        """
        links = tuple(photo.link for photo in person.photos if photo.link is not None)
        told = Forgotten(person.name, len(person.photos) - len(links), links, len(self.adapters(person)))
        with self._turn():
            folder = self._folder(person.key)
            gone = folder.with_name(f"{FORGOTTEN}{person.key}")
            try:
                os.replace(folder, gone)  # from here on nobody finds it
                shutil.rmtree(gone)
            except OSError as error:
                raise KeepfaceError(f"{gone}: can't be deleted: {error.strerror or error}; delete it by hand") from None
        return told

    def tidy(self) -> None:
        """Delete what stopped calls left, unless another process is writing or the folder can't be written to."""
        with contextlib.suppress(KeepfaceError, OSError), one_at_a_time(self.folder / TURN, waits=False) as alone:
            if alone:
                self._sweep()

    def _sweep(self) -> None:
        for path in self.folder.glob(f".*{UNFINISHED}"):
            path.unlink(missing_ok=True)
        for folder in (self.folder / PEOPLE).iterdir():
            if folder.name.startswith(FORGOTTEN) or (KEY.fullmatch(folder.name) and not (folder / RECORD).is_file()):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self._folders():
            with contextlib.suppress(KeepfaceError):  # a damaged record is told of when it is read
                self._sweep_person(self._record(folder.name))

    def _sweep_person(self, person: Person) -> None:
        counts = {photo.file for photo in person.photos} | {photo.key for photo in person.photos}
        for path in self._folder(person.key).rglob("*"):
            is_lost = path.parent.name in (PHOTOS, FEATURES) and path.name not in counts
            if path.is_file() and (is_lost or path.suffix == UNFINISHED):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if self.is_new:
            raise KeepfaceError(f"{self.folder}: holds no library yet: keepface person add NAME PHOTO... makes one")
        with one_at_a_time(self.folder / TURN):
            make_private(self.folder / PEOPLE)
            self._sweep()
            yield

    def _commit(self, person: Person, files: Mapping[str, bytes]) -> None:
        """Write the files, and then the record that makes them count."""
        for name, data in files.items():
            self._write(person.key, name, data)
        record = json.dumps({"format": FORMAT, **to_dict(person)}, indent=1)
        self._write(person.key, RECORD, record.encode())

    def _keep(self, person: Person, photo: ReferencePhoto, features: PhotoFeatures) -> None:
        """Keep features that were made anew; where that can't be done, they are made again next time."""
        with contextlib.suppress(KeepfaceError), self._turn():
            if any(item.key == photo.key for item in self._record(person.key).photos):
                self._write(person.key, f"{FEATURES}/{photo.key}", to_bytes(features))

    def _record(self, key: str) -> Person:
        path = self._folder(key) / RECORD
        data = as_table(self._seal.open(read_bytes(path), f"{key}/{RECORD}"), str(path), COPY)
        if data.pop("format", None) != FORMAT:
            raise KeepfaceError(f"{path}: is of another format than {FORMAT}; update keepface")
        person = as_record(Person, data, str(path))
        if person.key != key:
            raise KeepfaceError(f"{path}: is the record of another folder; put it back where it was")
        return person

    def _folders(self) -> list[Path]:
        folder = self.folder / PEOPLE
        found = folder.iterdir() if folder.is_dir() else ()
        return [path for path in found if KEY.fullmatch(path.name) and (path / RECORD).is_file()]

    def _folder(self, key: str) -> Path:
        return self.folder / PEOPLE / key

    def _read(self, person: Person, name: str) -> bytes:
        return self._seal.open(read_bytes(self._folder(person.key) / name), f"{person.key}/{name}")

    def _write(self, key: str, name: str, data: bytes) -> Path:
        path = self._folder(key) / name
        make_private(path.parent)
        write_private(path, self._seal.seal(data, f"{key}/{name}"))
        return path


def _is_leftover(path: Path) -> bool:
    """Tell whether a file is what a stopped call leaves of a library that was being made."""
    return path.name == TURN or path.suffix == UNFINISHED


def _adapter(name: str) -> str:
    if not ADAPTER.fullmatch(name):
        raise KeepfaceError(f"{name!r} is no name for an adapter; use letters, digits, dots and dashes")
    return name
