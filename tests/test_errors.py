"""The error tree in the docstring is the tree of the classes, and every error has words of its own."""

import inspect
import re

from keepface import errors


def classes() -> dict[str, type]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: item for name, item in found if item.__module__ == "keepface.errors"}


def drawn_tree() -> dict[str, str]:
    """Read name -> parent from the drawing, where deeper indentation means a child."""
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^(\s*)[*\-·] (\w+)", line)
        if not match:
            continue
        depth, name = len(match.group(1)), match.group(2)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        parents[name] = stack[-1][1] if stack else "Exception"
        stack.append((depth, name))
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert drawn_tree() == {name: item.__bases__[0].__name__ for name, item in classes().items()}


def test_one_except_clause_catches_every_error_of_keepface() -> None:
    assert all(issubclass(item, errors.KeepfaceError) for item in classes().values())


def test_every_error_says_what_it_is_for() -> None:
    assert [name for name, item in classes().items() if not item.__doc__] == []
