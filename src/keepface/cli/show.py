"""What the command line says: plain lines and tables for people, one JSON object for programs, progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keepface.errors import KeepfaceError, RecipeError

FAILED, USAGE = 1, 2  # exit statuses
Advance = Callable[[int, int], None]  # done, in all


def say(line: str) -> None:
    """Write a line to stdout; bytes of file names that are no text become question marks."""
    try:
        typer.echo(_printable(line))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise KeepfaceError(
            f"what is to be said can't be written: {error.strerror or error}; make room there"
        ) from None


def tell(line: str) -> None:
    """Write a line to stderr."""
    typer.echo(_printable(line), err=True)


def say_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object to stdout."""
    typer.echo(json.dumps(value, indent=1, allow_nan=False))


def report(error: KeepfaceError) -> int:
    """Write an error in one line to stderr and return the exit status it ends with."""
    tell(f"error: {' '.join(str(error).split())}")
    return USAGE if isinstance(error, RecipeError) else FAILED


def say_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to stdout, one line a row."""
    table = [list(names), *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(names))]
    for row in table:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(text: str) -> Iterator[Advance]:
    """Show a bar on stderr while work goes on, if stderr is a terminal; the value is to be called with each step."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    off, mixed = not console.is_terminal, sys.stdout.isatty()  # lines to a terminal go above the bar, to a file into it
    with Progress(*columns, console=console, transient=True, disable=off, redirect_stdout=mixed) as bar:
        task = bar.add_task(_printable(text), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
