"""Files that callers send: a name to be shown, and bytes; a caller's name is never part of a path."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from keepface.errors import PhotoError
from keepface.image.files import FORMATS, Limits, Photo, photo_from_bytes
from keepface.people.person import printable
from keepface.web.refusals import NotPictureError

NAME_LENGTH = 120  # ours: letters of a file's name that are kept, the ending among them
NAMELESS = "photo"
SIGNATURES = {  # the first bytes of the formats that are read; '.' is any
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\x00|MM\x00[*+]",
    "BMP": rb"BM",
    "GIF": rb"GIF8[79]a",
}


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
    return next((form for form, start in SIGNATURES.items() if re.match(start, data, re.DOTALL)), None)


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
        kinds = ", ".join(SIGNATURES)
        hint = "HEIC, AVIF and video are not read: save it as JPEG or PNG" if data[4:8] == b"ftyp" else "send a photo"
        raise NotPictureError(f"{upload.name}: is no picture of a type that is read ({kinds}); {hint}")
    return photo_from_bytes(data, upload.name, Limits(max_pixels))
