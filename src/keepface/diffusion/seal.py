"""A family's seal: the SHA-256 of each of its files in `hashes.json`, so that a damaged or changed one is noticed."""

import json
from pathlib import Path

from keepface.errors import HashMismatchError, WeightsError
from keepface.weights.store import sha256

SEAL = "hashes.json"
SEALED = (".safetensors", ".json", ".onnx")
LARGE = 2e8  # bytes: hashed when asked for (`keepface weights check FOLDER`), not each time a family is loaded


def seal(folder: Path) -> dict[str, str]:
    """Write the hashes of a family's weights and configs; return them by path below the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SEALED and path.name != SEAL)
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
    (folder / SEAL).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
    return hashes


def broken(folder: Path, largest: float = float("inf")) -> dict[str, str]:
    """Return what is wrong with a sealed family, by path; nothing for one that is whole, or was never sealed.

    Of files above `largest` bytes it is seen that they are there.

    Raises:
        WeightsError: the seal itself can't be read.
    """
    path = folder / SEAL
    if not path.exists():
        return {}
    try:
        hashes = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise WeightsError(f"{path}: damaged; install keepface again, or remove the file to go on unchecked") from None
    problems = {}
    for name, wanted in hashes.items():
        if not (folder / name).is_file():
            problems[name] = "is missing"
        elif (folder / name).stat().st_size <= largest and (found := sha256(folder / name)) != wanted:
            problems[name] = f"has SHA-256 {found}, needed {wanted}"
    return problems


def check_seal(folder: Path) -> None:
    """Refuse a sealed family of which a file is missing or, but for large ones, changed.

    Raises:
        HashMismatchError: names the first such file.
    """
    for name, problem in broken(folder, LARGE).items():
        raise HashMismatchError(f"{folder / name}: {problem}; install keepface again, or fetch the family anew")
