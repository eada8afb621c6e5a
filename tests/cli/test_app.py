"""The command line as a whole: help without torch, statuses, one line an error."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import keepface

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("restore", "degrade", "train", "bench", "data", "weights", "cache", "study", "person")


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT / "src", check=False)


def test_help_and_the_package_itself_load_no_torch() -> None:
    text = (
        "import sys, keepface, keepface.cli; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'cv2')))"
    )
    assert python("-c", text).returncode == 0


def test_the_module_runs_as_a_program_and_names_every_command() -> None:
    run = python("-m", "keepface", "--help")
    assert run.returncode == 0
    assert all(f"  {name}  " in run.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(keepface: Callable[..., Result], command: str) -> None:
    result = keepface(command, "--help")
    assert result.exit_code == 0 and "Usage: " in result.stdout


def test_the_version_is_that_of_the_project(keepface: Callable[..., Result]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert keepface("--version").stdout == f"keepface {project['version']}\n"


def test_the_program_that_is_installed_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"keepface": "keepface.cli:main"}


@pytest.mark.parametrize("words", [["restore"], ["restore", "a.jpg"], ["unknown"], ["restore", "a.jpg", "--no-such"]])
def test_what_can_not_be_understood_ends_with_status_2(keepface: Callable[..., Result], words: list[str]) -> None:
    result = keepface(*words)
    assert result.exit_code == 2 and result.stdout == ""


def test_the_public_names_come_from_their_homes() -> None:
    from keepface.engine.result import Restoration
    from keepface.engine.settings import RestoreSettings

    assert keepface.RestoreSettings is RestoreSettings
    assert keepface.Restoration is Restoration
    with pytest.raises(AttributeError, match="no attribute 'Restore'"):
        _ = keepface.Restore
