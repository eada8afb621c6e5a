import hashlib
from pathlib import Path

import pytest

from keepface.diffusion.seal import SEAL, broken, check_seal, seal
from keepface.errors import HashMismatchError, WeightsError


def family(folder: Path) -> Path:
    (folder / "unet").mkdir()
    (folder / "unet" / "weights.safetensors").write_bytes(b"weights")
    (folder / "keepface.json").write_text("{}")
    (folder / "notes.txt").write_text("not sealed")
    return folder


def test_a_seal_holds_the_sha256_of_weights_and_configs_and_of_nothing_else(tmp_path: Path) -> None:
    hashes = seal(family(tmp_path))
    assert hashes == {
        "keepface.json": hashlib.sha256(b"{}").hexdigest(),
        "unet/weights.safetensors": hashlib.sha256(b"weights").hexdigest(),
    }


def test_a_whole_family_passes_and_so_does_one_never_sealed(tmp_path: Path) -> None:
    assert broken(family(tmp_path)) == {}
    seal(tmp_path)
    assert broken(tmp_path) == {}
    check_seal(tmp_path)


def test_one_changed_byte_is_refused_by_name(tmp_path: Path) -> None:
    seal(family(tmp_path))
    (tmp_path / "unet" / "weights.safetensors").write_bytes(b"weightz")
    with pytest.raises(HashMismatchError, match=r"weights\.safetensors: has SHA-256 .* install keepface again"):
        check_seal(tmp_path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    seal(family(tmp_path))
    (tmp_path / "keepface.json").unlink()
    assert broken(tmp_path) == {"keepface.json": "is missing"}


def test_a_damaged_seal_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (family(tmp_path) / SEAL).write_text("{not json")
    with pytest.raises(WeightsError, match="install keepface again"):
        broken(tmp_path)
