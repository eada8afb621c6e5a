"""The tables that the papers print, as they print them; they are shown apart and never mixed with measured ones."""

import functools
import importlib.resources
import tomllib
from dataclasses import dataclass

from keepface.config import from_dict


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper; cells are the paper's text, `-` where it has none."""

    paper: str
    method: str  # keepface's name of the paper's system
    table: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@functools.cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Read every table, in the order of published.toml."""
    text = importlib.resources.files(__package__).joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(from_dict(PublishedTable, table, "published.toml") for table in tomllib.loads(text)["table"])
