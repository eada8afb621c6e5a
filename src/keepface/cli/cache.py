"""keepface cache: the references' features that `restore --cache` keeps; they say who somebody is."""

from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_cache_path

from keepface.cli.show import say

cache = typer.Typer(
    help="Show or delete the features that `restore --cache` keeps.", no_args_is_help=True, rich_markup_mode=None
)


def features_folder() -> Path:
    """Return the folder of kept features, in the user's own cache."""
    return user_cache_path("keepface") / "features"


@cache.command()
def show() -> None:
    """Say where features are kept, and how many."""
    from keepface.identity.embed import FeatureCache

    entries = FeatureCache(features_folder()).entries()
    size = sum(path.stat().st_size for path in entries)
    say(f"{features_folder()}: {len(entries)} kept, {size / 1e6:.1f} MB")


@cache.command()
def clear(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete all kept features."""
    from keepface.identity.embed import FeatureCache

    folder = FeatureCache(features_folder())
    if not yes and folder.entries():
        typer.confirm(f"Delete the features of {len(folder.entries())} photos?", abort=True)
    say(f"deleted the features of {folder.clear()} photos")
