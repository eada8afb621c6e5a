"""keepface weights: which files of weights there are, whence, under which terms, and whether they are whole."""

from dataclasses import asdict
from typing import Annotated

import typer

from keepface.cli.show import FAILED, say_json, say_table, tell

weights = typer.Typer(help="List or check the files of weights.", no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@weights.command("list")
def list_weights(as_json: AsJson = False) -> None:
    """List the files: size, terms, the package that brings them, and what they are for."""
    from keepface.weights.cards import cards

    if as_json:
        say_json({"weights": [asdict(card) for card in cards().values()]})
        return
    rows = [
        (card.name, f"{card.bytes / 1e6:.1f} MB", card.licence, card.package, card.used_for)
        for card in cards().values()
    ]
    say_table(("name", "size", "licence", "package", "used for"), rows)


@weights.command()
def check(as_json: AsJson = False) -> None:
    """Check that every file is there and is the one its card describes."""
    from keepface.weights.cards import cards
    from keepface.weights.store import check as check_weights

    states = [check_weights(name) for name in cards()]
    if as_json:
        rows = [
            {"name": item.name, "path": _text(item.path), "ok": item.ok, "problem": item.problem} for item in states
        ]
        say_json({"weights": rows})
    else:
        say_table(
            ("name", "", "file"), [(item.name, "ok" if item.ok else "BAD", _text(item.path) or "") for item in states]
        )
        for item in states:
            if not item.ok:
                tell(f"error: {item.problem}")
    if not all(item.ok for item in states):
        raise typer.Exit(FAILED)


def _text(path: object) -> str | None:
    return None if path is None else str(path)
