"""Say in the file itself that a model painted in it: with what, and how, but not who is shown or who led it.

    IPTC Photo Metadata Standard 2025.1: Digital Source Type, AI System Used, AI System Version Used  [IPTC]

What is written holds no time: the same call makes the same bytes. Where nothing was restored, nothing is written.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import nn

from keepface import __version__
from keepface.config import to_dict
from keepface.diffusion.family import Family
from keepface.diffusion.seal import SEALED
from keepface.engine.photo import Named
from keepface.engine.result import Counts, Restoration
from keepface.engine.settings import RestoreSettings
from keepface.image.limits import Limits
from keepface.image.xmp import Property, with_properties
from keepface.methods import METHODS
from keepface.methods.method import OnePass
from keepface.weights.store import sha256

TOOL = "keepface"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
OURS = "urn:keepface:xmp:1.0/"


@runtime_checkable
class OfFamily(Protocol):
    """A method over a family."""

    @property
    def family(self) -> Family:
        """Return the networks of the base model."""
        ...


@runtime_checkable
class OfPerson(Protocol):
    """A method that may have learned a person."""

    @property
    def person(self) -> nn.Module | None:
        """Return what was learned of whoever is loaded."""
        ...


@dataclass(frozen=True)
class Maker:
    """Who restored: a method over a family, with the SHA-256 of each; `None` for what lies in no folder.

    `person_sha256` is of what the method learned of a person, where somebody is loaded; it is not written into files.
    """

    method: str
    family: str | None = None
    family_sha256: str | None = None
    method_sha256: str | None = None
    person_sha256: str | None = None
    version: str = __version__  # of keepface


@dataclass(frozen=True)
class Options:
    """All that was asked for, but the files; the same options over the same files make the same picture."""

    settings: RestoreSettings
    seed: int = 0
    is_aligned: bool | None = None
    candidates: int = 1
    max_pixels: int | None = None  # of the photo; None: as many as `Limits` allows
    strip_gps: bool = False
    provenance: bool = True
    allow_truncated: bool | None = None  # read a JPEG that is cut short as far as it goes

    @property
    def limits(self) -> Limits:
        """Return what the photo may be."""
        return Limits(self.max_pixels, allow_truncated=bool(self.allow_truncated))

    @property
    def sha256(self) -> str:
        """Return the hash of the options as JSON with sorted keys and no spaces."""
        text = json.dumps(to_dict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def made_by(method: Named) -> Maker:
    """Describe a loaded method; of a family that lies in a folder every file is hashed, once a process."""
    person = method.person if isinstance(method, OfPerson) else None
    learned = None if person is None else _module_sha256(person)
    if isinstance(method, OnePass):
        return Maker(method.name, method_sha256=method.sha256)
    if not isinstance(method, OfFamily):
        return Maker(method.name, person_sha256=learned)
    family = method.family
    if family.folder is None:
        return Maker(method.name, family.card.name, person_sha256=learned)
    own = family.folder / method.name
    base = folder_sha256(family.folder, leave_out=METHODS)
    return Maker(method.name, family.card.name, base, folder_sha256(own) if own.is_dir() else None, learned)


def folder_sha256(folder: Path, leave_out: Collection[str] = ()) -> str:
    """Hash the weights and settings below a folder: a line with path and SHA-256 each, sorted, hashed together.

    `leave_out` names folders right below it that do not count.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SEALED and path.is_file())
    kept = [path for path in paths if path.relative_to(folder).parts[0] not in leave_out and path.name != "hashes.json"]
    lines = [f"{path.relative_to(folder).as_posix()} {sha256(path)}\n" for path in kept]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def mark(restoration: Restoration, maker: Maker, options: Options) -> Restoration:
    """Add the statement to the picture's XMP, where anything was restored; the photo's own properties stay."""
    if not (restoration.changed and options.provenance):
        return restoration
    said = statement(restoration, maker, options)
    image = replace(restoration.image, xmp=with_properties(restoration.image.xmp, said))
    return replace(restoration, image=image)


def statement(restoration: Restoration, maker: Maker, options: Options) -> dict[Property, str]:
    """Return the properties that say how a picture was made. [IPTC]"""
    count = Counts.of(restoration.faces)
    drawn = f"{count.restored} of {count.found} faces" + (f", {count.denoised} denoised" if count.denoised else "")
    what = f"{restoration.tiles} tiles" if restoration.tiles else drawn
    said = {
        Property(IPTC_EXT, "Iptc4xmpExt", "DigitalSourceType"): SOURCE_TYPE,
        Property(IPTC_EXT, "Iptc4xmpExt", "AISystemUsed"): f"{TOOL} {maker.method}",
        Property(IPTC_EXT, "Iptc4xmpExt", "AISystemVersionUsed"): maker.version,
    }
    own = {
        "Version": maker.version,
        "Method": maker.method,
        "MethodSHA256": maker.method_sha256,
        "Family": maker.family,
        "FamilySHA256": maker.family_sha256,
        "OptionsSHA256": options.sha256,
        "Restored": what,
    }
    return said | {Property(OURS, TOOL, name): value for name, value in own.items() if value is not None}


def _module_sha256(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
