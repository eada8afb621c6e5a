"""Headers of files to download."""

from typing import Literal
from urllib.parse import quote


def attachment(name: str, way: Literal["inline", "attachment"] = "attachment") -> dict[str, str]:
    """Return the header that names a file, in any script; the name is a caller's. [RFC 6266]"""
    return {"content-disposition": f"{way}; filename*=UTF-8''{quote(name, safe='')}"}
