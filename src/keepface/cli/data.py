"""keepface data: photos to packs that training reads, and what pools of references they make."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepface.cli.show import progress, say, tell
from keepface.errors import RecipeError

if TYPE_CHECKING:
    from keepface.data.shards import PersonFolders, Shards

SHOWN = 10  # photos left out, by name
CELLS = 3  # clusters of pose, and of expression within each [FaceMe, Sec. 3.4]

data = typer.Typer(help="Prepare photos for training.", no_args_is_help=True, rich_markup_mode=None)


@data.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of shards, or of person/photo.jpg.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder of the pack.", show_default=False)],
    size: Annotated[int, typer.Option(help="Side of the family's square in pixels.", min=16, show_default=False)],
    split: Annotated[str, typer.Option(help="Which shards: those whose names start so.")] = "train",
    no_features: Annotated[bool, typer.Option("--no-features", help="Leave out identity features.")] = False,
) -> None:
    """Cut faces out of photos into a pack; the same command goes on where it was stopped."""
    from keepface.data import prepare as packs
    from keepface.engine.features import PackFeatures

    photos = _source(source, split)
    features = None if no_features else PackFeatures.load()
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
    seed: Annotated[int, typer.Option(help="Of the clustering.", min=0)] = 0,
) -> None:
    """Say how poses and expressions are spread over a pack, and how many references its people have."""
    import numpy as np

    from keepface.data.pools import LandmarkPose, nested_kmeans, real_pool
    from keepface.data.prepare import Pack
    from keepface.image.files import from_uint8
    from keepface.seeds import numpy_generator

    photos = Pack(pack)
    estimator = LandmarkPose()
    with progress(pack.name) as advance:
        estimates = []
        for index in range(len(photos)):
            estimates.append(estimator.estimate(from_uint8(np.array(photos.images[index])), photos.landmarks[index]))
            advance(index + 1, len(photos))
    theta, psi = np.stack([item.theta for item in estimates]), np.stack([item.psi for item in estimates])
    labels = nested_kmeans(theta, psi, CELLS, CELLS, numpy_generator(seed, "pool"))
    counts = np.bincount(labels, minlength=CELLS * CELLS)
    references = [len(indices) - 1 for indices in real_pool(photos.identities).values()]
    say(f"{pack}: {len(photos)} photos in {CELLS} poses x {CELLS} expressions: {', '.join(map(str, counts))}")
    alone = sum(count == 0 for count in references)
    say(f"references besides the photo itself: {np.mean(references):.1f} on average; {alone} photos have none")


def _source(source: Path, split: str) -> "Shards | PersonFolders":
    from keepface.data.shards import read_folder, read_shards
    from keepface.faces.detect import Detector

    if not source.is_dir():
        raise RecipeError(f"{source}: there is no such folder")
    return read_shards(source, split) if any(source.glob("*.parquet")) else read_folder(source, Detector())
