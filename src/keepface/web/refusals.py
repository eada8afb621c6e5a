"""Every error as the web tells it: a status and a text, without paths of this machine.

* KeepfaceError
  - RefusedError           a call that is refused for what it is
    · NotThereError        404: no such person, photo, job or picture
    · NotReadyError        409: what is asked for is not made yet, or will never be
    · TooMuchError         413: more bytes or files than the limits allow
    · NotSentError         400: a call that breaks off or can't be read
    · UnfitError           422: a part of a call that is no value for it
    · WrongKindError       415: a body of another type than is read here
  - QueueFullError         503: too much waits already
  - PhotoError
    · NotPictureError      415: a file of a type that is not read
"""

import re
from collections.abc import Sequence
from pathlib import Path

from keepface.errors import (
    FaceError,
    KeepfaceError,
    MissingExtraError,
    OutputExistsError,
    PhotoError,
    RecipeError,
    ReferencePhotoError,
    TooLargeError,
    WeightsError,
)

PATH = re.compile(r"(?<![\w./\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])+([^\s/\\:'\",;)]*)")


class RefusedError(KeepfaceError):
    """A call that is refused; `where` names the part of it that is to blame."""

    def __init__(self, text: str, where: str | None = None) -> None:
        super().__init__(text)
        self.where = where


class NotThereError(RefusedError):
    """No such person, photo, job or picture."""


class NotReadyError(RefusedError):
    """What is asked for is not made yet, or will never be."""


class TooMuchError(RefusedError):
    """More bytes or files than the limits allow."""


class NotSentError(RefusedError):
    """A call that breaks off, or that can't be read."""


class UnfitError(RefusedError):
    """A part of a call that is no value for it."""


class WrongKindError(RefusedError):
    """A body of another type than is read here."""


class QueueFullError(KeepfaceError):
    """Too much waits already; try again later."""

    retry_s = 15


class NotPictureError(PhotoError):
    """A file of a type that is not read."""


STATUSES: dict[type[KeepfaceError], int] = {  # the first that fits
    NotThereError: 404,
    NotReadyError: 409,
    TooMuchError: 413,
    NotSentError: 400,
    UnfitError: 422,
    WrongKindError: 415,
    QueueFullError: 503,
    NotPictureError: 415,
    TooLargeError: 413,
    PhotoError: 422,
    ReferencePhotoError: 422,
    FaceError: 422,
    RecipeError: 422,
    OutputExistsError: 409,
    WeightsError: 503,
    MissingExtraError: 503,
    KeepfaceError: 409,
}


def status_of(error: KeepfaceError) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status in STATUSES.items() if isinstance(error, kind))


def said(error: BaseException, hide: Sequence[Path] = ()) -> str:
    """Return what whoever calls may read of an error: its text, in which files are named without their folders.

    An error that is none of keepface's is told by its kind alone. Folders in `hide` may have blanks in their names.
    """
    if not isinstance(error, KeepfaceError):
        return f"something went wrong inside keepface ({type(error).__name__})"
    text = " ".join(str(error).split())
    for folder in sorted((str(path) for path in hide), key=len, reverse=True):
        text = text.replace(f"{folder}/", "").replace(folder, "here")
    return PATH.sub(r"\1", text)
