"""Every error keepface raises on purpose, drawn as a tree.

* KeepfaceError
  - PhotoError             a file that is no usable picture
    · TooLargeError        more pixels or faces than the limits allow
  - FaceError              no face where one is needed, or too many
  - ReferencePhotoError    a reference photo that can't lead a restoration
  - WeightsError           weights missing, damaged, of another layout, or in a refused format
    · HashMismatchError    a file's SHA-256 is not its card's
  - RecipeError            a recipe or setting that can't be used
  - DataError              training or measuring data that can't be used
  - OutputExistsError      an output that would be overwritten without --force
  - MissingExtraError      an optional part that is not installed

A message says where, what was given, what is needed and, where there is one, what to type next.
"""


class KeepfaceError(Exception):
    """Any error that keepface raises on purpose; its text is meant for the user."""


class PhotoError(KeepfaceError):
    """A file that is no usable picture: missing, empty, truncated, of another type."""


class TooLargeError(PhotoError):
    """A picture with more pixels or faces than the limits allow; the text says how to raise them."""


class FaceError(KeepfaceError):
    """No face where one is needed, or more than one where there must be one."""


class ReferencePhotoError(KeepfaceError):
    """A reference photo that can't lead a restoration: no face, several faces, another person."""


class WeightsError(KeepfaceError):
    """Weights that are missing, damaged, of another layout, or in a refused format."""


class HashMismatchError(WeightsError):
    """A weights file whose SHA-256 is not the one on its card."""


class RecipeError(KeepfaceError):
    """A recipe or setting that can't be used: unknown key, wrong type, value out of range."""


class DataError(KeepfaceError):
    """Training or measuring data that can't be used."""


class OutputExistsError(KeepfaceError):
    """An output file that exists already and would be overwritten."""


class MissingExtraError(KeepfaceError):
    """An optional part of keepface that is not installed; the text says the command that installs it."""
