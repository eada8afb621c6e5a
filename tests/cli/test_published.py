"""keepface weights fetch, convert and check for families of published weights, on a tiny release in a folder."""

import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
from typer.testing import Result

from keepface.diffusion.family import locate
from keepface.published.files import releases

from ..published.sdxl_release import SIZE, write_release

Keepface = Callable[..., Result]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("KEEPFACE_FAMILIES", str(tmp_path / "families"))


def test_one_command_makes_a_family_that_is_found_by_its_name_and_a_changed_byte_is_noticed(
    keepface: Keepface, release: Path, tmp_path: Path
) -> None:
    size = f"resolution={SIZE}"
    result = keepface("weights", "fetch", "sdxl", "--accept-licence", "--from", release, "--set", size)
    assert result.exit_code == 0, result.output
    assert "keepface restore PHOTO --family sdxl" in result.stdout and "Pi-Lab License 1.0" in result.stderr
    assert "converted from published weights; caption 'A photo of face.'" in result.stderr
    folder = tmp_path / "families" / "sdxl"
    assert locate("sdxl") == folder
    told = json.loads(keepface("weights", "check", "sdxl", "--from", release, "--json").stdout)["weights"]
    assert all(item["ok"] for item in told) and told[-1] == {
        "name": "sdxl",
        "path": str(folder),
        "ok": True,
        "problem": "",
    }
    assert keepface("weights", "check", folder).exit_code == 0
    again = keepface("weights", "convert", "sdxl", release)
    assert again.exit_code == 1 and "use --force" in again.stderr
    path = folder / "recogniser" / "glintr100.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    broken = keepface("weights", "check", folder)
    assert broken.exit_code == 1 and "glintr100.onnx: has SHA-256" in broken.stderr


def test_without_consent_nothing_is_fetched_and_the_licences_are_named(keepface: Keepface, release: Path) -> None:
    result = keepface("weights", "fetch", "sdxl", "--from", release)
    assert result.exit_code == 1 and "--accept-licence" in result.stderr


def test_the_list_names_the_published_files_with_their_terms(keepface: Keepface) -> None:
    told = json.loads(keepface("weights", "list", "--json").stdout)["published"]
    assert {(item["family"], item["name"]) for item in told} == {
        (family, name) for family, parts in releases().items() for name in parts
    }
    lines = keepface("weights", "list").stdout.splitlines()
    assert any("sdxl/faceme" in line and "Pi-Lab License 1.0" in line for line in lines)
