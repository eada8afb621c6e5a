"""Read records that are JSON; what can't be one is told with the place it stands in."""

import json
from typing import Any, TypeVar

from keepface.config import from_dict
from keepface.errors import KeepfaceError, RecipeError

Made = TypeVar("Made")


def as_table(data: bytes, where: str, mend: str) -> dict[str, Any]:
    """Return the JSON object that bytes hold.

    Raises:
        KeepfaceError: they hold none; `mend` says what to do.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise KeepfaceError(f"{where}: is damaged; {mend}")
    return value


def as_record(cls: type[Made], data: Any, where: str) -> Made:
    """Make a dataclass of plain data.

    Raises:
        KeepfaceError: the data are not of this class.
    """
    try:
        return from_dict(cls, data, where)
    except (RecipeError, TypeError, AttributeError) as error:
        raise KeepfaceError(f"{error}; the file was changed, or made by another version of keepface") from None
