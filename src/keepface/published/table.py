"""The families that are made of published weights, by the name they are chosen with."""

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from keepface.config import from_dict, override
from keepface.diffusion.family import Family, converted_families
from keepface.diffusion.seal import seal
from keepface.errors import OutputExistsError, WeightsError
from keepface.published import sd15, sd21, sdxl
from keepface.published.gather import Sources


@dataclass(frozen=True)
class Converter:
    """How one family is made.

    settings: a frozen dataclass of what may be chosen, such as the checkpoint's quirks.
    convert: write the family's folder from its published files; the folder is there and empty.
    """

    title: str
    settings: type
    convert: Callable[[Sources, Path, Any], None]


FAMILIES: dict[str, Converter] = {
    "sdxl": Converter("FaceMe on SDXL", sdxl.SdxlSettings, sdxl.convert),
    "sd15": Converter("RIDFR on SD 1.5", sd15.Sd15Settings, sd15.convert),
    "sd15-base": Converter("SD 1.5 alone, to train over", sd15.BaseSettings, sd15.convert_base),
    "sd21": Converter("PFStorer on SD 2.1", sd21.Sd21Settings, sd21.convert),
}


def converter(family: str) -> Converter:
    """Return how a family is made.

    Raises:
        WeightsError: there is no such family; the text lists those there are.
    """
    if family not in FAMILIES:
        raise WeightsError(f"family {family!r} is not made of published files; those that are: {', '.join(FAMILIES)}")
    return FAMILIES[family]


def make(sources: Sources, out: Path | None = None, assignments: Sequence[str] = (), replace: bool = False) -> Path:
    """Convert a family's published files to its folder, seal it and load it once; return the folder.

    The folder appears whole or not at all.

    Args:
        out: `None` is where `keepface restore --family NAME` finds it.
        assignments: `key=value` of the family's settings.
        replace: an older folder gives way to the new one; otherwise it is an error.

    Raises:
        OutputExistsError: there is such a folder already.
        RecipeError: an unknown setting, or a value of another type.
        WeightsError: a published file is damaged or is not what it should be, or there is no room.
    """
    chosen = converter(sources.family)
    settings: Any = from_dict(chosen.settings, override({}, list(assignments)), f"settings of {sources.family}")
    folder = out or converted_families() / sources.family
    if folder.exists() and not replace:
        raise OutputExistsError(f"{folder}: is there already; use --force, or name another folder: -o FOLDER")
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        aside.mkdir(parents=True)
        chosen.convert(sources, aside, settings)
        seal(aside)
        Family.from_pretrained(aside, dtype=torch.float16)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except OSError as error:
        raise WeightsError(f"{folder}: the family can't be written here: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder
