"""keepface weights: which files of weights there are, whence, under which terms, and whether they are whole."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.show import FAILED, say, say_json, say_table, tell

if TYPE_CHECKING:
    from keepface.published.gather import Sources
    from keepface.weights.store import CardState

weights = typer.Typer(
    help="List, check, fetch or convert files of weights.", no_args_is_help=True, rich_markup_mode=None
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Out = Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the family; else one among your data.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the family.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a family that is there already.")]


@weights.command("list")
def list_weights(as_json: AsJson = False) -> None:
    """List the families and the files of weights: size, terms, the package that brings them, what they are for."""
    from keepface.diffusion.family import bundled_families, locate, read_card
    from keepface.published.files import releases
    from keepface.weights.cards import cards

    families = [(locate(name), read_card(locate(name))) for name in bundled_families()]
    published = [release for parts in releases().values() for release in parts.values()]
    if as_json:
        shown = [{**asdict(card), "bytes": _size(folder)} for folder, card in families]
        told = [asdict(release) for release in published]
        say_json({"weights": [asdict(card) for card in cards().values()], "families": shown, "published": told})
        return
    rows = [
        (card.name, f"{_size(folder) / 1e6:.1f} MB", card.licence, "keepface", f"restores at {card.resolution} px")
        for folder, card in families
    ]
    rows += [
        (card.name, f"{card.bytes / 1e6:.1f} MB", card.licence, card.package, card.used_for)
        for card in cards().values()
    ]
    rows += [
        (f"{item.family}/{item.name}", f"{item.bytes / 1e9:.1f} GB", item.licence, item.hub or item.page, item.used_for)
        for item in published
    ]
    say_table(("name", "size", "licence", "package or hub", "used for"), rows)


@weights.command()
def check(
    family: Annotated[
        str | None, typer.Argument(help="A family, its folder, or one of published files.", show_default=False)
    ] = None,
    sources: Annotated[
        list[Path] | None, typer.Option("--from", help="Folder in which published files may be, besides the hub's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that every file is there and is the one its card or its family's seal describes."""
    states = _states_of(family, sources or ()) if family else _all_states()
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


@weights.command()
def fetch(
    family: Annotated[str, typer.Argument(help="A family of published weights, such as sdxl.", show_default=False)],
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Agree to the files' licences.")] = False,
    sources: Annotated[
        list[Path] | None, typer.Option("--from", help="Folder to look in before the hub; may be given again.")
    ] = None,
    output: Out = None,
    settings: Settings = None,
    force: Force = False,
    only_fetch: Annotated[bool, typer.Option("--only-fetch", help="Do not convert.")] = False,
) -> None:
    """Fetch a family's published files from folders or the model hub, and convert them so that `--family` finds it."""
    from keepface.published.files import refuse_unaccepted
    from keepface.published.gather import gather

    refuse_unaccepted(family, accept_licence)
    found = gather(family, sources or (), "download")
    if only_fetch:
        say(f"{family}: every file is there; keepface weights convert {family}")
        return
    _make(found, output, settings or (), force)


@weights.command()
def convert(
    family: Annotated[str, typer.Argument(help="A family of published weights, such as sdxl.", show_default=False)],
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Folders with its files, before the hub's cache.", show_default=False)
    ] = None,
    output: Out = None,
    settings: Settings = None,
    force: Force = False,
) -> None:
    """Convert published files that are on this machine to a family's folder; nothing is fetched."""
    from keepface.published.gather import gather

    _make(gather(family, sources or (), "cache"), output, settings or (), force)


def _make(sources: "Sources", output: Path | None, settings: Sequence[str], force: bool) -> None:
    from keepface.diffusion.family import read_card
    from keepface.published.files import conditions
    from keepface.published.table import make

    tell(f"licences: {conditions(sources.family)}")
    folder = make(sources, output, settings, force)
    for line in read_card(folder).history:
        tell(line)
    name = folder if output else sources.family
    say(f"{folder}: {_size(folder) / 1e9:.2f} GB; keepface restore PHOTO --family {name} --ref REFERENCE -o OUT")


def _all_states() -> "list[CardState]":
    from keepface.diffusion.family import bundled_families, locate
    from keepface.weights.cards import cards
    from keepface.weights.store import check as check_weights

    return [*(_sealed(name, locate(name)) for name in bundled_families()), *(check_weights(name) for name in cards())]


def _states_of(family: str, folders: Sequence[Path]) -> "list[CardState]":
    from keepface.diffusion.family import CARD, converted_families, locate
    from keepface.published.files import releases
    from keepface.published.gather import states

    made = converted_families() / family
    if family not in releases():
        return [_sealed(family, locate(family))]
    return states(family, folders) + ([_sealed(family, made)] if (made / CARD).is_file() else [])


def _sealed(name: str, folder: Path) -> "CardState":
    from keepface.diffusion.seal import broken
    from keepface.weights.store import CardState

    problems = broken(folder)
    told = "; ".join(f"{folder / file}: {problem}" for file, problem in problems.items())
    return CardState(name, folder, not problems, told)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def _text(path: object) -> str | None:
    return None if path is None else str(path)
