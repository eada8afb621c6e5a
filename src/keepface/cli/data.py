"""keepface data: photos to packs that training reads, and packs to packs with a pool of references."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.show import progress, say, say_json, tell
from keepface.errors import RecipeError

if TYPE_CHECKING:
    from keepface.data.shards import PersonFolders, Shards

SHOWN = 10  # photos left out, by name

data = typer.Typer(help="Prepare photos for training.", no_args_is_help=True, rich_markup_mode=None)


@data.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of shards, or of person/photo.jpg.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder of the pack.", show_default=False)],
    size: Annotated[int, typer.Option(help="Side of the family's square in pixels.", min=16, show_default=False)],
    split: Annotated[str, typer.Option(help="Which shards: those whose names start so.")] = "train",
    no_features: Annotated[bool, typer.Option("--no-features", help="Leave out identity features.")] = False,
    family: Annotated[str, typer.Option(help="Family whose networks make the features.")] = "compact",
) -> None:
    """Cut faces out of photos into a pack; the same command goes on where it was stopped."""
    from keepface.data import prepare as packs
    from keepface.device import choose_device
    from keepface.identity.conditioning import describe
    from keepface.identity.crop_features import CropFeatures

    photos = _source(source, split)
    features = None if no_features else CropFeatures.load(choose_device(), describe(family))
    with progress(source.name) as advance:
        pack = packs.prepare(photos, out, size, features, advance)
    people = len(set(pack.identities))
    say(f"{out}: {len(pack)} photos of {people} people, {len(pack.left_out)} left out")
    for item in pack.left_out[:SHOWN]:
        tell(f"left out {item.origin}: {item.reason}")
    if len(pack.left_out) > SHOWN:
        tell(f"and {len(pack.left_out) - SHOWN} more; see table.json")


@data.command()
def pool(
    pack: Annotated[Path, typer.Argument(help="A prepared pack.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder of the new pack.", show_default=False)],
    family: Annotated[str, typer.Option(help="Networks: a bundled name, a folder or a hub id.")] = "compact",
    method: Annotated[str, typer.Option(help="Published system that draws.")] = "faceme",
    limit: Annotated[int | None, typer.Option(help="Only the first so many photos of the pack.", min=1)] = None,
    delta: Annotated[float, typer.Option(help="Least cosine with the person.", min=-1, max=1)] = 0.5,
    pose_strength: Annotated[float, typer.Option(help="How much of a pose photo shows.", min=0, max=1)] = 0.25,
    steps: Annotated[int, typer.Option(help="Sampling steps.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the clusters, poses and start noise.", min=0)] = 0,
    batch: Annotated[int, typer.Option(help="Faces drawn together.", min=1)] = 8,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw more references of a pack's people, in many poses; the same command goes on where it was stopped."""
    from keepface.data.pools import PoolSettings
    from keepface.train.pool import PoolRun, run_pool
    from keepface.train.synthesiser import SynthesisSettings

    settings = PoolSettings(delta=delta, seed=seed, limit=limit, batch=batch)
    synthesis = SynthesisSettings(steps=steps, pose_strength=pose_strength)
    with progress(pack.name) as advance:
        found = run_pool(pack, out, family, PoolRun(method, settings, synthesis, device), advance)
    if as_json:
        rates = {"acceptance": found.acceptance, "fill": found.fill}
        say_json({"pack": str(out), **asdict(found), **rates})
        return
    say(f"{out}: {found.accepted} references of {found.targets} photos, {', '.join(map(str, found.per_cell))} by cell")
    say(f"accepted {found.acceptance:.1%} of {found.tries} drawn; {found.fill:.1%} of the places have one")


def _source(source: Path, split: str) -> "Shards | PersonFolders":
    from keepface.data.shards import read_folder, read_shards
    from keepface.faces.detect import Detector

    if not source.is_dir():
        raise RecipeError(f"{source}: there is no such folder")
    return read_shards(source, split) if any(source.glob("*.parquet")) else read_folder(source, Detector())
