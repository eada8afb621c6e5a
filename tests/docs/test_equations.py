"""Every tag such as [FaceMe, Eq. 6] in the code stands in the paper's table, and the table has nothing else.

A paper's page is docs/papers/<paper>.md; its heading begins with the paper's key. Tags are read from the docstrings
of functions and classes. Lines of the table look like: | Eq. 6 | `degrade/chains.py` | `draw_first_order` | … |
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "keepface"
PAGES = sorted((ROOT / "docs" / "papers").glob("*.md"))
Place = tuple[str, str, str]  # part of the paper, file, name

Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def named(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Named]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + child.name, child
            yield from named(child, f"{prefix}{child.name}.")


def tags(key: str) -> set[Place]:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for name, node in named(ast.parse(path.read_text(encoding="utf-8"))):
            for bracket in re.findall(r"\[([^\[\]]+)\]", ast.get_docstring(node) or ""):
                for tag in bracket.split(";"):
                    paper, comma, part = tag.strip().partition(", ")
                    if paper == key and comma:
                        found.add((part, path.relative_to(SOURCE).as_posix(), name))
    return found


def table(text: str) -> list[Place]:
    lines = re.findall(r"^\| ([^|]+) \| `([^`|]+)` \| `([^`|]+)` \|", text, flags=re.MULTILINE)
    return [(part.strip(), path, name) for part, path, name in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tags_in_the_code_are_the_lines_of_the_table(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    key = text.removeprefix("# ").split(":")[0]
    lines = table(text)
    assert len(lines) == len(set(lines)), "a line stands twice"
    assert sorted(set(lines) - tags(key)) == [], "lines of the table without a tag in the code"
    assert sorted(tags(key) - set(lines)) == [], "tags in the code without a line in the table"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_numbered_equation_has_a_function_or_a_word_on_why_it_has_none(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named_in_text = {int(number) for number in re.findall(r"Eq\. (\d+)", text)}
    assert named_in_text == set(range(1, max(named_in_text) + 1))
