"""keepface train: a recipe and prepared photos in, a trained family out."""

from pathlib import Path
from typing import Annotated

import typer

from keepface.cli.show import progress, say


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe (TOML), or a run's folder to go on with.", show_default=False)],
    data: Annotated[Path | None, typer.Option(help="Folder with the packs train/ and val/.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key, such as optim.lr=5e-5.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe and stop.")] = False,
) -> None:
    """Train by a recipe; the same command goes on where it was stopped."""
    if dry_run:
        from keepface.config import dump_toml, to_dict
        from keepface.train.run import resolve

        say(dump_toml(to_dict(resolve(recipe, assignments))).rstrip())
        return
    if data is None:
        raise typer.BadParameter("is needed to train; prepare one with: keepface data prepare", param_hint="--data")
    from keepface.train.run import train_recipe

    with progress(recipe.name) as advance:
        folder = train_recipe(recipe, data, out, assignments, lambda step, steps, loss: advance(step, steps))
    say(f"trained: {folder}")
