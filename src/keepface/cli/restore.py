"""keepface restore: photos in, photos with their faces restored out."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepface.cli.paths import Job, Jobs, plan
from keepface.cli.person import open_people, references_of
from keepface.cli.show import FAILED, progress, report, say, say_json, tell
from keepface.errors import KeepfaceError, OutputExistsError, PhotoError, RecipeError

if TYPE_CHECKING:
    from keepface.engine.references import References
    from keepface.engine.result import Restoration
    from keepface.engine.settings import RestoreSettings
    from keepface.engine.whole import PictureRestorer
    from keepface.image.files import Limits


Row = dict[str, Any]  # of one photo, as --json prints it


@dataclass(frozen=True)
class Model:
    """Which networks to restore with, where, and how precisely."""

    method: str
    family: str
    device: str | None
    precision: str | None
    keeps_features: bool = False  # of the references, in the user's cache folder
    cleans: bool = False  # low faces first, so that a family without a cleaner is told before the work

    def load(self) -> "PictureRestorer":
        """Load the networks, without diffusers' own progress bars: a call has one bar, its photo's."""
        from diffusers.utils.logging import disable_progress_bar

        from keepface.cli.cache import features_folder
        from keepface.diffusion.cleaner import check_cleaner
        from keepface.diffusion.family import locate
        from keepface.engine.restorer import Restorer

        disable_progress_bar()
        if self.cleans:
            check_cleaner(locate(self.family))
        cache = features_folder() if self.keeps_features else None
        return Restorer.from_pretrained(self.family, self.method, self.device, self.precision, cache)


@dataclass(frozen=True)
class Call:
    """All of one call of the command."""

    jobs: Jobs
    references: tuple[Path, ...]
    weights: tuple[float, ...] | None
    settings: "RestoreSettings"
    limits: "Limits"
    seed: int
    is_aligned: bool | None
    force: bool
    person: str | None = None  # of the library
    library: Path | None = None


def restore(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Photos, or folders of photos.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; a folder for several photos.", show_default=False)
    ],
    ref: Annotated[
        list[Path] | None, typer.Option(metavar="PHOTO", help="Photo of the person; may be repeated.")
    ] = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="Person of the library; --ref adds to it.")] = None,
    library: Annotated[Path | None, typer.Option(envvar="KEEPFACE_LIBRARY", help="The library's folder.")] = None,
    ref_weight: Annotated[
        list[float] | None, typer.Option(metavar="WEIGHT", help="Weight 0..1 of each --ref, in order.")
    ] = None,
    method: Annotated[str, typer.Option(help="Published system to restore by.")] = "faceme",
    family: Annotated[str, typer.Option(help="Networks: a bundled name, a folder or a hub id.")] = "compact",
    steps: Annotated[int, typer.Option(help="Sampling steps.")] = 20,
    sampler: Annotated[str, typer.Option(help="unipc, ddim, or ddpm as FaceMe published (with --steps 50).")] = "unipc",
    seed: Annotated[int, typer.Option(help="The same seed makes the same picture.", min=0)] = 0,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; default: the method's own.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Start noise, 0..1; less invents less.")] = None,
    fidelity: Annotated[float, typer.Option(help="0 draws faces anew, towards 1 they are hardly changed.")] = 0.0,
    clean: Annotated[bool, typer.Option("--clean", help="Take noise, blocks and blur out first.")] = False,
    identity: Annotated[float, typer.Option(help="Strength of the references, 0..1.")] = 1.0,
    colour: Annotated[str, typer.Option(help="Colours from the input: wavelet, adain or none.")] = "wavelet",
    aligned: Annotated[bool | None, typer.Option("--aligned/--not-aligned", help="Is INPUT a face square?")] = None,
    tile: Annotated[bool | None, typer.Option("--tile/--no-tile", help="The whole picture, by tiles.")] = None,
    scale: Annotated[float, typer.Option(help="Enlarge the whole picture 1 to 20 times, by tiles.")] = 1.0,
    keep_worse: Annotated[bool, typer.Option("--keep-worse", help="Keep faces that became less like --ref.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse doubtful references.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, bf16 or fp16.")] = None,
    max_pixels: Annotated[int, typer.Option(help="Refuse larger photos.", min=1)] = 64_000_000,
    max_faces: Annotated[int, typer.Option(help="Refuse photos with more faces.", min=1)] = 50,
    cache: Annotated[bool, typer.Option("--cache", help="Keep the references' features for next time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Restore the faces in photos, led by other photos (--ref) of the person."""
    references = _existing(ref or [])
    jobs = plan(inputs, output, references)
    from keepface.config import from_dict
    from keepface.engine.settings import RestoreSettings
    from keepface.image.files import Limits

    chosen: dict[str, Any] = {"steps": steps, "sampler": sampler, "guidance": guidance, "temperature": temperature}
    chosen |= {"fidelity": fidelity, "clean": clean, "identity": identity, "colour": colour, "keep_worse": keep_worse}
    chosen |= {"tile": tile, "scale": scale, "max_pixels": max_pixels, "strict": strict, "max_faces": max_faces}
    settings = from_dict(RestoreSettings, chosen, "restore")
    weights = tuple(ref_weight) if ref_weight else None
    if weights is not None and len(weights) != len(references):
        raise RecipeError(f"{len(references)} --ref and {len(weights)} --ref-weight; give one weight for each, or none")
    call = Call(jobs, tuple(references), weights, settings, Limits(max_pixels), seed, aligned, force, person, library)
    rows = []
    for row, restoration in _rows(call, Model(method, family, device, precision, cache, clean)):
        rows.append(row)
        _tell(row, restoration, as_json)
    if as_json:
        say_json({"results": rows})
    if any(row["error"] for row in rows):
        raise typer.Exit(FAILED)


def _existing(references: list[Path]) -> list[Path]:
    for path in references:
        if not path.exists():
            raise typer.BadParameter(f"{path}: there is no such file", param_hint="--ref")
    return references


def _rows(call: Call, model: Model) -> Iterator[tuple[Row, "Restoration | None"]]:
    """Do the jobs one by one; what fails is told in its row, and the next goes on."""
    from keepface.engine.result import failed, skipped

    for folder in call.jobs.empty:
        yield failed(str(folder), f"{folder}: holds no photos", 0.0), None
    waiting = []
    for job in call.jobs.jobs:
        if call.jobs.is_batch and job.output.exists() and not call.force:
            yield skipped(str(job.source), str(job.output)), None
        elif problem := _problem(job, call):
            yield failed(str(job.source), problem, 0.0), None
        else:
            waiting.append(job)
    if waiting:
        yield from _restored(waiting, call, model)


def _restored(jobs: Sequence[Job], call: Call, model: Model) -> Iterator[tuple[Row, "Restoration | None"]]:
    from keepface.engine.result import failed

    try:
        restorer, references = _load(call, model)
    except KeepfaceError as error:
        if isinstance(error, RecipeError):
            raise
        for job in jobs:
            yield failed(str(job.source), str(error), 0.0), None
        return
    for job in jobs:
        started = time.perf_counter()
        try:
            restoration = _restore(job, call, restorer, references)
        except (KeepfaceError, OSError, MemoryError) as error:
            yield failed(str(job.source), str(error) or type(error).__name__, time.perf_counter() - started), None
        else:
            yield restoration.to_json(str(job.output)), restoration


def _problem(job: Job, call: Call) -> str | None:
    """Find out before the work what would stop it, or its result from being written."""
    if not job.source.exists():
        return f"{job.source}: there is no such file"
    try:
        _check_output(job, call)
    except KeepfaceError as error:
        return str(error)
    return None


def _check_output(job: Job, call: Call) -> None:
    from keepface.image.files import FORMATS

    if job.output.suffix.lower() not in FORMATS:
        raise PhotoError(f"{job.output}: no format is known by this ending; use {', '.join(FORMATS)}")
    if job.output.exists() and not call.force:
        raise OutputExistsError(f"{job.output}: exists already; choose another name, or replace it with --force")
    if call.jobs.is_batch:
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PhotoError(f"{job.output.parent}: can't be made: {error.strerror or error}") from None
    if not job.output.parent.is_dir():
        raise PhotoError(f"{job.output}: there is no folder {job.output.parent}; make it first")


def _load(call: Call, model: Model) -> "tuple[PictureRestorer, References]":
    from keepface.engine.references import gather_references

    people = open_people(call.library) if call.person is not None else None
    restorer = model.load()
    references = gather_references(restorer, call.references, call.weights, call.settings.strict)
    if people is not None and call.person is not None:
        references = references_of(restorer, people, call.person, references, call.settings.strict)
    for item in references.left_out:
        tell(f"reference {item.source} left out: {item.reason}")
    return restorer, references


def _restore(job: Job, call: Call, restorer: "PictureRestorer", references: "References") -> "Restoration":
    from keepface.engine.whole import restore_any
    from keepface.image.files import read_photo

    photo = read_photo(job.source, call.limits)
    with progress(job.source.name) as advance:
        restoration = restore_any(restorer, photo, references, call.settings, call.seed, call.is_aligned, advance)
    same_format = job.source.suffix.lower() == job.output.suffix.lower()
    if restoration.changed or not same_format:
        restoration.save(job.output, force=call.force)
    else:
        _copy(job.source, job.output)
    return restoration


def _copy(source: Path, output: Path) -> None:
    """Copy a photo in which nothing was restored, byte for byte; the copy appears whole or not at all."""
    aside = output.with_name(f".{output.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        shutil.copyfile(source, aside)
        os.replace(aside, output)
    finally:
        aside.unlink(missing_ok=True)


def _tell(row: Row, restoration: "Restoration | None", as_json: bool) -> None:
    """Say what was done to one photo; with --json only what went wrong, on stderr."""
    if row["error"]:
        report(KeepfaceError(row["error"]))
        return
    if as_json:
        return
    if restoration is None:
        say(f"{row['output']} is there already, left alone (--force restores it again)")
        return
    say(f"{row['input']} -> {row['output']}  {_done(restoration)}, {row['seconds']:.1f} s")
    for number, face in enumerate(restoration.faces, 1):
        if face.box is not None and face.reason:
            say(f"  face {number} at {face.box[0]:.0f},{face.box[1]:.0f}: {face.reason}")
        before, after = face.similarity.input_to_references, face.similarity.output_to_references
        if before is not None and after is not None:
            say(f"  likeness to the references: {before:.2f} before, {after:.2f} after")


def _done(restoration: "Restoration") -> str:
    first = "cleaned and " if restoration.cleaned else ""
    if restoration.tiles:
        height, width = restoration.image.pixels.shape[1:]
        return f"whole picture {first}restored by {restoration.tiles} tiles, {width} x {height} px"
    if restoration.faces[0].box is None:
        return "no face found, photo left as it is"
    count = sum(face.restored for face in restoration.faces)
    return f"{count} of {len(restoration.faces)} face{'s' if len(restoration.faces) > 1 else ''} {first}restored"
