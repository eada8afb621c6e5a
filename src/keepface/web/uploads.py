"""Files that callers send: a name to be shown, and bytes; a caller's name is never part of a path."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from keepface.errors import PhotoError
from keepface.image import formats
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, photo_from_bytes
from keepface.image.limits import Limits
from keepface.people.person import printable
from keepface.web.refusals import NotPictureError

NAME_LENGTH = 120  # ours: letters of a file's name that are kept, the ending among them
NAMELESS = "photo"


@runtime_checkable
class Given(Protocol):
    """A file that was sent."""

    @property
    def name(self) -> str:
        """Return the name it is shown by."""
        ...

    @property
    def data(self) -> bytes:
        """Return its bytes."""
        ...


@dataclass(frozen=True, eq=False)
class Upload:
    """A file in memory."""

    name: str
    data: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain_name(self.name))


@dataclass(frozen=True, eq=False)
class Filed:
    """A file that was put into the private folder, under a name of ours."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain_name(self.name))

    @property
    def data(self) -> bytes:
        """Read the bytes; a `PhotoError` when they are gone."""
        try:
            return self.path.read_bytes()
        except OSError:
            raise PhotoError(f"{self.name}: is no longer there; send it again") from None


def plain_name(name: str) -> str:
    """Return a file's name without folders, short and printable."""
    last = printable(re.split(r"[/\\\x00]", name)[-1]).strip().lstrip(".")
    if len(last) > NAME_LENGTH:
        stem, dot, ending = last.rpartition(".")
        last = f"{(stem if dot else last)[: NAME_LENGTH - 10]}{dot}{ending[:9]}"
    return last or NAMELESS


def format_of(data: bytes) -> str | None:
    """Return the format that the first bytes speak of, by Pillow's names; `None`: none that is read."""
    return formats.format_of(data[: formats.START_BYTES])


def written_as(data: bytes) -> str:
    """Return the format that a result of this file is written in: its own, or PNG."""
    form = format_of(data)
    return form if form is not None and form in FORMATS.values() else "PNG"


def read_upload(upload: Given, max_pixels: int) -> Photo:
    """Decode a file.

    Raises:
        NotPictureError: of a type that is not read.
        TooLargeError: more pixels than the limit, by its header.
        PhotoError: empty, truncated or damaged.
    """
    data = upload.data
    if data and format_of(data) is None:
        kinds = ", ".join(formats.FORMATS)
        hint = "video is not read" if data[4:8] == b"ftyp" else "send a photo"
        raise NotPictureError(f"{upload.name}: is no picture of a type that is read ({kinds}); {hint}")
    return photo_from_bytes(data, upload.name, Limits(max_pixels))
