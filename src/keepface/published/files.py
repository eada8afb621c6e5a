"""The published files that a family is made of: where each is, its terms, size and form; the table is files.toml."""

import functools
import importlib.resources
import tomllib
from dataclasses import dataclass, field
from typing import Literal

from keepface.config import from_dict
from keepface.errors import WeightsError


@dataclass(frozen=True)
class Release:
    """What is known of one publisher's files; the fields stand in files.toml."""

    family: str
    name: str
    hub: str  # id on the model hub; empty: its publisher has none there, and it is got by hand from `page`
    folder: str  # what its folder is called where it was got by hand, without the publisher
    files: tuple[str, ...]  # paths below the folder; of "a|b" any one will do, the first before the others
    kind: Literal["safetensors", "pickle", "onnx"]
    licence: str
    is_commercial: bool  # its licence allows commercial use
    bytes: int  # of all files, counted from their parameters: good for planning, not for checking
    page: str
    used_for: str
    sha256: dict[str, str] = field(default_factory=dict)  # of the files whose publisher names it

    @property
    def wanted(self) -> tuple[tuple[str, ...], ...]:
        """Return for each file the names that it may have."""
        return tuple(tuple(file.split("|")) for file in self.files)


@functools.cache
def releases() -> dict[str, dict[str, Release]]:
    """Read every family's releases by family and name, in the order of files.toml."""
    text = importlib.resources.files(__package__).joinpath("files.toml").read_text(encoding="utf-8")
    return {
        family: {
            name: from_dict(Release, {"family": family, "name": name, **table}, f"files.toml [{family}.{name}]")
            for name, table in tables.items()
        }
        for family, tables in tomllib.loads(text).items()
    }


def releases_of(family: str) -> dict[str, Release]:
    """Return what a family is made of.

    Raises:
        WeightsError: no such family is made of published files; the text lists those that are.
    """
    if family not in releases():
        raise WeightsError(f"family {family!r} is not made of published files; those that are: {', '.join(releases())}")
    return releases()[family]


def conditions(family: str) -> str:
    """Say in one line under which licences a family's files are published."""
    told = []
    for release in releases_of(family).values():
        use = "" if release.is_commercial else " (non-commercial)"
        told.append(f"{release.hub or release.folder}: {release.licence}{use}")
    return "; ".join(told)


def refuse_unaccepted(family: str, is_accepted: bool) -> None:
    """Ask for the consent that a family's licences need.

    Raises:
        WeightsError: some of its files are not for commercial use, and nobody agreed to that.
    """
    bound = [release for release in releases_of(family).values() if not release.is_commercial]
    if bound and not is_accepted:
        told = "; ".join(f"{release.hub or release.folder}: {release.licence} ({release.page})" for release in bound)
        raise WeightsError(f"{family}: not for commercial use: {told}. If you agree, add --accept-licence")
