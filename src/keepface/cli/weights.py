"""keepface weights: which files of weights there are, whence, under which terms, and whether they are whole."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from keepface.cli.show import FAILED, say_json, say_table, tell

weights = typer.Typer(help="List or check the files of weights.", no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@weights.command("list")
def list_weights(as_json: AsJson = False) -> None:
    """List the families and the files of weights: size, terms, the package that brings them, what they are for."""
    from keepface.diffusion.family import bundled_families, locate, read_card
    from keepface.weights.cards import cards

    families = [(locate(name), read_card(locate(name))) for name in bundled_families()]
    if as_json:
        shown = [{**asdict(card), "bytes": _size(folder)} for folder, card in families]
        say_json({"weights": [asdict(card) for card in cards().values()], "families": shown})
        return
    rows = [
        (card.name, f"{_size(folder) / 1e6:.1f} MB", card.licence, "keepface", f"restores at {card.resolution} px")
        for folder, card in families
    ]
    rows += [
        (card.name, f"{card.bytes / 1e6:.1f} MB", card.licence, card.package, card.used_for)
        for card in cards().values()
    ]
    say_table(("name", "size", "licence", "package", "used for"), rows)


@weights.command()
def check(as_json: AsJson = False) -> None:
    """Check that every file is there and is the one its card or its family's seal describes."""
    from keepface.diffusion.family import bundled_families, locate
    from keepface.diffusion.seal import broken
    from keepface.weights.cards import cards
    from keepface.weights.store import CardState
    from keepface.weights.store import check as check_weights

    states = [check_weights(name) for name in cards()]
    for name in bundled_families():
        problems = broken(locate(name))
        told = "; ".join(f"{locate(name) / file}: {problem}" for file, problem in problems.items())
        states.insert(0, CardState(name, locate(name), not problems, told))
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


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def _text(path: object) -> str | None:
    return None if path is None else str(path)
