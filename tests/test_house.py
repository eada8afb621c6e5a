"""The house rules that no linter knows: sizes, names, and that the repository speaks of keepface alone."""

import ast
import importlib
import re
import shutil
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "keepface"
CODE_FOLDERS = ("src", "tests", "benchmarks", "scripts")
FILE_LINES = 400
FUNCTION_LINES = 60
FORBIDDEN_STEMS = {"utils", "helpers", "common", "misc", "tools", "base", "core", "manager"}
TEXT_SUFFIXES = {"", ".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ".cfg", ".css", ".js", ".html"}

# Built from parts, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(
    "|".join(rf"(?<![\w.$}}~]){start}/\w" for start in ("/wor" + "k", "/hom" + "e", "/roo" + "t"))
)
MACHINE_PATH_MORE = re.compile(
    "|".join(("/opt/" + "wheels", "/opt/" + "pypi", r"/User" + r"s/\w", r"[A-Z]:\\User" + "s"))
)
PROCESS_WORDS = re.compile(
    "|".join(
        (r"(?<!scope=\")\bsess" + r"ions?\b", r"\bissue" + r" #", r"\bsub" + r"agents?\b", r"\bhelper" + r" [A-F]\b")
    ),
    re.IGNORECASE,
)


def tracked_files() -> list[Path]:
    """List what git holds or would take; without git, everything outside hidden folders."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return [
        path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts and "build" not in path.parts
    ]


def python_files() -> list[Path]:
    return sorted(path for folder in CODE_FOLDERS for path in (ROOT / folder).rglob("*.py"))


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked_files():
        if path.suffix in TEXT_SUFFIXES:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for name, text in texts():
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    return found


def test_every_file_fits_in_one_sitting() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: size for name, size in sizes.items() if size > FILE_LINES} == {}


def test_every_function_fits_on_one_screen() -> None:
    long = {}
    for path in python_files():
        for node in functions(path):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}


def test_no_function_of_the_package_takes_unnamed_keywords() -> None:
    guilty = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in SOURCE.rglob("*.py")
        for node in functions(path)
        if node.args.kwarg is not None
    ]
    assert guilty == []


def test_every_file_is_named_for_what_it_holds() -> None:
    paths = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    assert [str(path) for path in paths if FORBIDDEN_STEMS & {part.removesuffix(".py") for part in path.parts}] == []


def test_shapes_in_annotations_are_live_objects_and_not_strings() -> None:
    future = "from __future__ import " + "annotations"
    assert [str(path) for path in python_files() if future in path.read_text(encoding="utf-8")] == []


def test_the_papers_do_not_import_each_other() -> None:
    papers = {path.stem for path in (ROOT / "docs" / "papers").glob("*.md")}
    guilty = []
    for path in (SOURCE / "methods").glob("*.py"):
        others = papers - {path.stem}
        text = path.read_text(encoding="utf-8")
        if path.stem in papers and any(re.search(rf"import .*\b{name}\b|methods\.{name}\b", text) for name in others):
            guilty.append(path.name)
    assert guilty == []


def test_no_tracked_file_names_a_path_of_a_machine() -> None:
    assert lines_that_match(MACHINE_PATH) + lines_that_match(MACHINE_PATH_MORE) == []


def test_the_repository_speaks_of_keepface_alone() -> None:
    assert lines_that_match(PROCESS_WORDS) == []


def test_the_public_names_are_exactly_those_that_the_package_shows() -> None:
    if not (SOURCE / "__init__.py").exists():
        pytest.skip("keepface has no top __init__.py yet")
    keepface = importlib.import_module("keepface")
    resolved = {name: getattr(keepface, name) for name in keepface.__all__}
    shown = {name for name in dir(keepface) if not name.startswith("_")}
    shown -= {name for name in shown if isinstance(getattr(keepface, name), types.ModuleType)}
    assert sorted(keepface.__all__) == sorted(set(keepface.__all__))
    assert shown == {name for name in resolved if not name.startswith("_")}


def test_every_layer_of_the_import_contract_is_there_and_nothing_else() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = set(re.findall(r"keepface\.(\w+)", text.split("layers = [")[1].split("]")[0]))
    modules = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" and not path.stem.startswith("__")}
    modules |= {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert modules <= layers
