"""The recipe beside a result, by which it can be redone byte for byte: hashes, options and versions, and no names.

A recipe holds no path, no embedding and nothing of a reference but the hash of its file. A person of the library is
named by a hash of the features that led the model; names stand in it only where the call chose faces by them.
"""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from keepface.config import from_dict, to_dict
from keepface.engine.photo import Named
from keepface.engine.provenance import Maker, OfFamily, Options, made_by
from keepface.engine.references import References
from keepface.engine.result import Restoration
from keepface.errors import HashMismatchError, KeepfaceError, PhotoError, RecipeError, ReferencePhotoError
from keepface.methods.method import OnePass

ENDING = ".keepface.json"
FORMAT = 1
PACKAGES = ("torch", "diffusers", "numpy", "pillow", "opencv-python-headless", "safetensors")
SHOWN = 12  # letters of a hash in a message


@dataclass(frozen=True)
class ReferenceHash:
    """A reference by the SHA-256 of its file, and its weight."""

    sha256: str
    weight: float = 1.0


@dataclass(frozen=True)
class Sources:
    """The files that a result was made of, and the people of the library that led it."""

    photo_sha256: str
    references: tuple[ReferenceHash, ...] = ()
    people_sha256: tuple[str, ...] = ()  # of their features, sorted


@dataclass(frozen=True)
class Machine:
    """What the bytes depend on besides; another machine may round otherwise."""

    device: str
    precision: str
    threads: int
    processor: str
    python: str
    packages: dict[str, str]
    low_memory: bool = False

    @classmethod
    def here(cls, device: str = "cpu", precision: str = "float32", low_memory: bool = False) -> "Machine":
        """Describe this machine and process."""
        packages = {name: found for name in PACKAGES if (found := _version(name))}
        processor, python = platform.machine(), platform.python_version()
        return cls(device, precision, torch.get_num_threads(), processor, python, packages, low_memory)


@dataclass(frozen=True)
class Sidecar:
    """One result's recipe."""

    sources: Sources
    maker: Maker
    options: Options
    machine: Machine
    options_sha256: str
    output_format: str  # as in keepface.image.endings.FORMATS
    output_sha256: str  # before it was signed
    is_copy: bool = False  # nothing was restored: the output is the photo's file
    faces: tuple[dict[str, Any], ...] = field(default=())  # what was done to each, without names
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the recipe as the text of its file."""
        return json.dumps(to_dict(self), indent=1) + "\n"


@dataclass(frozen=True)
class Written:
    """The file that was made: its format, its bytes before they are signed, and whether they are the photo's own."""

    form: str
    data: bytes
    is_copy: bool = False


def describe(restoration: Restoration, method: Named, options: Options, sources: Sources, written: Written) -> Sidecar:
    """Write down how a result was made."""
    here = Machine.here()
    if isinstance(method, OnePass):
        here = Machine.here(str(method.device))
    if isinstance(method, OfFamily):
        family = method.family
        precision = str(family.dtype).removeprefix("torch.")
        here = Machine.here(str(family.device), precision, family.spares is not None)
    return Sidecar(
        sources,
        made_by(method),
        options,
        here,
        options.sha256,
        written.form,
        hashlib.sha256(written.data).hexdigest(),
        written.is_copy,
        face_rows(restoration),
    )


def sources_of(
    photo: Path,
    references: Sequence[Path] = (),
    weights: Sequence[float] | None = None,
    people: Sequence[References] = (),
) -> Sources:
    """Hash the files that a result is made of, and the people of the library that led it."""
    shares = [1.0] * len(references) if weights is None else weights
    hashes = tuple(ReferenceHash(file_sha256(path), share) for path, share in zip(references, shares, strict=True))
    return Sources(file_sha256(photo), hashes, tuple(sorted(features_sha256(person) for person in people)))


def read_sidecar(path: Path) -> Sidecar:
    """Read a recipe.

    Raises:
        RecipeError: it is none, of a later format, or its options are not those that its hash was made of.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise RecipeError(f"{path}: is no recipe of keepface: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RecipeError(f"{path}: is no recipe that this version of keepface reads (format {FORMAT})")
    sidecar = from_dict(Sidecar, data, str(path))
    if sidecar.options.sha256 != sidecar.options_sha256:
        raise RecipeError(f"{path}: its options were changed by hand: their hash is not the one recorded")
    return sidecar


def sidecar_path(output: Path) -> Path:
    """Return where the recipe of an output lies: beside it, under its whole name and one more ending."""
    return output.with_name(output.name + ENDING)


def file_sha256(path: Path) -> str:
    """Hash a file; a `PhotoError` when it can't be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PhotoError(f"{path}: can't be read: {error.strerror or error}") from None


def features_sha256(person: References) -> str:
    """Hash what led the model of one person: the features of their references, in order, and the weights."""
    digest = hashlib.sha256()
    for reference in person.kept:
        digest.update(f"{reference.weight!r}".encode())
        for vector in reference.features.vectors:
            digest.update(vector.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def face_rows(restoration: Restoration) -> tuple[dict[str, Any], ...]:
    """Return what was done to each face, as `--json` says it, without the names of people."""
    rows = [face.unnamed().to_json() for face in restoration.faces]
    return tuple({name: value for name, value in row.items() if name != "person"} for row in rows)


def check_photo(sidecar: Sidecar, photo: Path) -> None:
    """Refuse another photo than the recipe's, by a `PhotoError`."""
    found = file_sha256(photo)
    if found != sidecar.sources.photo_sha256:
        wanted = sidecar.sources.photo_sha256
        raise PhotoError(f"{photo}: is not the photo of this recipe: SHA-256 {_short(found)}, needed {_short(wanted)}")


def in_order(sidecar: Sidecar, given: Sequence[Path]) -> list[Path]:
    """Return the references in the order in which they led the result, whatever the order given.

    Raises:
        ReferencePhotoError: one is missing, or one is not of the recipe.
    """
    found: dict[str, list[Path]] = {}
    for path in given:
        found.setdefault(file_sha256(path), []).append(path)
    ordered: list[Path] = []
    missing = []
    for reference in sidecar.sources.references:
        same = found.get(reference.sha256)
        if same:
            ordered.append(same.pop())
        else:
            missing.append(_short(reference.sha256))
    if missing:
        wanted = len(sidecar.sources.references)
        raise ReferencePhotoError(
            f"the recipe needs {wanted} references; missing by SHA-256: {', '.join(missing)}: give each by --ref"
        )
    spare = [str(path) for paths in found.values() for path in paths]
    if spare:
        raise ReferencePhotoError(f"{', '.join(spare)}: did not lead this result; leave it out")
    return ordered


def check_people(sidecar: Sidecar, people: Sequence[References]) -> None:
    """Refuse other people of the library than those of the recipe, by a `ReferencePhotoError`."""
    found = tuple(sorted(features_sha256(person) for person in people))
    if found != sidecar.sources.people_sha256:
        raise ReferencePhotoError(
            f"the recipe was led by {len(sidecar.sources.people_sha256)} of the library, and they are not those given "
            f"({len(found)}), or their photos have changed since"
        )


def check_maker(sidecar: Sidecar, maker: Maker) -> None:
    """Refuse other networks than the recipe's, by a `HashMismatchError`."""
    wanted = sidecar.maker
    for name, then, now in (
        ("method", wanted.method, maker.method),
        ("family", wanted.family_sha256, maker.family_sha256),
        (f"method {wanted.method}", wanted.method_sha256, maker.method_sha256),
        ("person learned by the method", wanted.person_sha256, maker.person_sha256),
    ):
        if then != now:
            raise HashMismatchError(f"the {name} is not the recipe's: {_short(now)}, needed {_short(then)}")


def check_output(sidecar: Sidecar, data: bytes, machine: Machine) -> None:
    """Refuse bytes that are not those recorded, naming what differs on this machine.

    Raises:
        KeepfaceError: other bytes.
    """
    found = hashlib.sha256(data).hexdigest()
    if found == sidecar.output_sha256:
        return
    changes = differences(sidecar, machine)
    why = f"; then and now: {'; '.join(changes)}" if changes else "; nothing that is known of this machine differs"
    raise KeepfaceError(
        f"other bytes came out: SHA-256 {_short(found)}, recorded {_short(sidecar.output_sha256)}{why}. "
        "Nothing was written; --even-if-different writes what came out"
    )


def differences(sidecar: Sidecar, machine: Machine) -> list[str]:
    """Name what was otherwise when the recipe was written, each as "name then, now"."""
    then, now = _flat(sidecar.machine), _flat(machine)
    then["keepface"], now["keepface"] = sidecar.maker.version, Maker("").version
    return [f"{name} {then.get(name)}, {now.get(name)}" for name in then if then.get(name) != now.get(name)]


def _flat(machine: Machine) -> dict[str, str]:
    whole = to_dict(machine)
    packages = whole.pop("packages")
    return {name: str(value) for name, value in (whole | packages).items()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _short(text: str | None) -> str:
    return "none" if text is None else text[:SHOWN]
