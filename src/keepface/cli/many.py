"""Folders of photos: what of an album is done, by whom, and what was done before."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from keepface.cli.from_album import check_from_album, in_album
from keepface.cli.option_groups import WithGroups
from keepface.cli.outputs import KEPT as OUTPUTS
from keepface.cli.outputs import Outputs, outputs
from keepface.cli.paths import Jobs
from keepface.cli.restore_call import Call, Model
from keepface.cli.show import progress
from keepface.errors import KeepfaceError, MissingExtraError, RecipeError
from keepface.standby import FEWEST_PHOTOS, Start, import_ahead

if TYPE_CHECKING:
    from keepface.cli.restore_jobs import Done
    from keepface.engine.album import Run, Studio
    from keepface.engine.batch import Item
    from keepface.engine.from_album import AlbumPeople
    from keepface.engine.manifest import Manifest
    from keepface.engine.matching import People
    from keepface.engine.references import References
    from keepface.engine.whole import PictureRestorer

KEPT = "keepface.many"  # where the context of a call holds what was asked for
ACTORS = 2  # ours: likewise
ENGINES = ("here", "ray")
ALBUMS = ("--shard", "--retry", "--engine", "--workers", "--batch", "--processes", "--from-album")
Found = Callable[["AlbumPeople"], None]


@dataclass(frozen=True)
class Many:
    """How an album is worked on; `None` is left to keepface.

    from_album: its photos lead each other.
    all_faces: then also faces that nobody leads are restored.
    start: how its other processes are started; no option.
    """

    engine: str = "here"
    shard: str = "1/1"
    retry: bool = False
    workers: int | None = None
    batch: int | None = None
    processes: int | None = None
    from_album: bool = False
    all_faces: bool = False
    start: Start = field(default="spawn", compare=False)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise RecipeError(f"engine {self.engine!r} is unknown; use one of {', '.join(ENGINES)}")
        if self.processes is not None and self.engine != "here":
            raise RecipeError("--processes is for this machine; with --engine ray say --workers")
        if self.from_album and self.engine != "here":
            raise RecipeError("--from-album groups faces on this machine alone; leave out --engine")
        if self.all_faces and not self.from_album:
            raise RecipeError("--all-faces goes with --from-album: without it faces that nobody leads are restored")

    def begun(self, photos: int, device: str | None) -> "Many":
        """Begin what other processes need, if an album of so many photos is to have any, beside what this one needs."""
        usual = os.cpu_count() or 1 if photos >= FEWEST_PHOTOS else 1
        is_alone = self.engine != "here" or (self.processes or usual) == 1 or device not in (None, "cpu")
        return self if is_alone else replace(self, start=import_ahead("keepface.engine.processes"))


def many(
    shard: Annotated[str, typer.Option(metavar="I/N", help="Of a folder, do part I of N and no more.")] = "1/1",
    retry: Annotated[bool, typer.Option("--retry", help="Try photos of a folder again that failed before.")] = False,
    engine: Annotated[str, typer.Option(help="Who does a folder: here, or ray.")] = "here",
    workers: Annotated[int | None, typer.Option(help="Threads beside the networks; with ray, actors.", min=1)] = None,
    batch: Annotated[int | None, typer.Option(help="Faces of a folder in the networks at once.", min=1)] = None,
    processes: Annotated[int | None, typer.Option(help="Processes for a folder, each with networks.", min=1)] = None,
    from_album: Annotated[
        bool, typer.Option("--from-album", help="Each person's best photos of the folder lead their others.")
    ] = False,
    all_faces: Annotated[bool, typer.Option("--all-faces", help="Then restore faces that nobody leads too.")] = False,
) -> None:
    """Stand for the options; the command takes them from here, and this is never called."""


class WithMany(WithGroups):
    """The command that has the options of `outputs` and of `many` too."""

    several: ClassVar[tuple[str, ...]] = ("--ref",)
    groups: ClassVar[Mapping[str, Callable[..., None]]] = {OUTPUTS: outputs, KEPT: many}


def read_many(ctx: typer.Context) -> Many:
    """Return what a call asks for; a `RecipeError` for an engine that there is not."""
    return Many(**ctx.meta.get(KEPT, {}))


def album_or_photos(
    call: Call, model: Model, outputs: Outputs, wanted: Many, inputs: list[Path], found: Found
) -> "Iterator[Done]":
    """Do photos one by one, and folders as albums: with a manifest, and faces of several photos in one batch.

    Files beside each picture (recipes, reports, signatures, evidence, candidates) are written photo by photo only.
    Who is in an album that guides itself is given to `found`, before the first photo.

    Raises:
        RecipeError: options of albums for something else.
    """
    from keepface.cli.restore_jobs import done
    from keepface.engine.manifest import Shard

    Shard.read(wanted.shard)  # a mistake is told before the work
    if wanted.engine == "ray" and find_spec("ray") is None:
        raise MissingExtraError("--engine ray needs Ray: pip install 'keepface[ray]'")
    if wanted.from_album:
        check_from_album(call, model)
    beside = outputs.sidecar or outputs.report or outputs.evidence or outputs.candidates_dir or outputs.c2pa_cert
    if any(os.path.isdir(path) for path in inputs) and not beside:
        return _album(call, model, outputs, wanted, found)
    if wanted != Many():
        what = "they don't go with files beside the pictures" if beside else "give a folder of photos"
        raise RecipeError(f"{', '.join(ALBUMS[:-1])} and {ALBUMS[-1]} are for albums; {what}")
    return done(call, model, outputs)


def _album(call: Call, model: Model, outputs: Outputs, wanted: Many, found: Found) -> "Iterator[Done]":
    from keepface.cli.restore_jobs import load, problem
    from keepface.cli.restore_outputs import Studio as Options
    from keepface.engine.batch import Item
    from keepface.engine.manifest import Manifest
    from keepface.engine.result import failed

    for folder, why in call.jobs.refused:
        yield failed(str(folder), why, 0.0), None
    items = []
    for job in call.jobs.jobs:
        if told := problem(job, replace(call, force=True)):  # outputs that exist are the manifest's business
            yield failed(str(job.source), told, 0.0), None
        else:
            items.append(Item(job.source, job.output))
    if not items:
        return
    try:
        restorer, references = load(call, model)
        if wanted.from_album:
            people = in_album(restorer, call, Options(call, outputs, restorer, references).options, wanted.all_faces)
            references = people.people
            found(people)
    except RecipeError:
        raise
    except KeepfaceError as error:
        for item in items:
            yield failed(str(item.source), str(error), 0.0), None
        return
    manifest = Manifest(call.jobs.folder)
    try:
        yield from _worked(_Album(call, model, outputs, wanted), items, manifest, restorer, references)
    finally:
        manifest.close()


@dataclass(frozen=True)
class _Album:
    """All of one call."""

    call: Call
    model: Model
    outputs: Outputs
    wanted: Many

    def run(self, studio: "Studio", photos: int, manifest: "Manifest") -> "Run":
        """Return what does the work of an album of so many photos."""
        import torch

        from keepface.cli.restore_jobs import load
        from keepface.engine.on_ray import OnRay
        from keepface.engine.processes import InProcesses, processes_for
        from keepface.methods.method import Personal

        wanted = self.wanted
        if wanted.engine == "ray":
            call = replace(self.call, jobs=Jobs((), (), is_batch=True))  # as much as is needed to load
            threads = manifest.agreed("threads", 1)  # each has one core
            return OnRay(functools.partial(load, call, self.model), wanted.workers or ACTORS, threads)
        if (wanted.processes or 1) > 1 and isinstance(studio.restorer.method, Personal):
            raise RecipeError(f"--processes: whoever {self.model.method} has learned is restored in one process")
        cores = torch.get_num_threads()
        usual = wanted.processes or processes_for(photos, studio.restorer, studio.options)
        threads = manifest.agreed("threads", max(1, cores // usual))
        processes = wanted.processes or min(usual, max(1, cores // threads))
        return InProcesses(self.model.load, processes, threads, wanted.start)


def _worked(
    album: _Album,
    items: "list[Item]",
    manifest: "Manifest",
    restorer: "PictureRestorer",
    references: "References | People",
) -> "Iterator[Done]":
    from keepface.cli.restore_outputs import Studio as Options
    from keepface.engine.album import Studio, Wishes, restore_album
    from keepface.engine.batch import Batching, batching_for
    from keepface.engine.manifest import Shard

    wanted, call = album.wanted, album.call
    shard = Shard.read(wanted.shard)
    usual = batching_for(len(items))
    threads = wanted.workers if wanted.engine == "here" and wanted.workers else usual.workers
    squares = manifest.agreed("batch", wanted.batch or usual.squares)
    batching = Batching(wanted.batch or squares, threads)
    options = Options(call, album.outputs, restorer, references).options
    studio = Studio(restorer, references, options, batching)
    count = sum(shard.holds(manifest.key(item.output)) for item in items)
    run = album.run(studio, count, manifest)
    told = restore_album(items, manifest, studio, Wishes(call.force, wanted.retry), shard, run)
    with progress(str(manifest.path.parent.parent)) as advance:
        advance(0, count)
        for number, one in enumerate(told, 1):
            advance(number, count)
            yield one.row, one.restoration
