"""The photos of one call of `keepface restore`, done one after the other; what fails is told, and the next goes on."""

import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional

from keepface.cli.outputs import Outputs
from keepface.cli.paths import Job, is_too_long
from keepface.cli.people import everybody
from keepface.cli.person import open_people, references_of
from keepface.cli.person_train import take_adapter
from keepface.cli.restore_call import Call, Model
from keepface.cli.restore_outputs import Studio, restore_and_write
from keepface.cli.show import progress, tell
from keepface.errors import KeepfaceError, OutputExistsError, PhotoError, RecipeError

if TYPE_CHECKING:
    from keepface.engine.matching import People
    from keepface.engine.references import References
    from keepface.engine.result import Restoration
    from keepface.engine.whole import PictureRestorer

Row = dict[str, Any]  # of one photo, as --json prints it
Done = tuple[Row, Optional["Restoration"]]


def done(call: Call, model: Model, outputs: Outputs = Outputs()) -> Iterator[Done]:
    """Do the jobs one by one; what fails is told in its row, and the next goes on."""
    from keepface.engine.result import failed, skipped

    for folder, reason in call.jobs.refused:
        yield failed(str(folder), reason, 0.0), None
    waiting = []
    for job in call.jobs.jobs:
        if call.jobs.is_batch and os.path.exists(job.output) and not call.force:
            yield skipped(str(job.source), str(job.output)), None
        elif why := problem(job, call) or _beside_problem(job, outputs):
            yield failed(str(job.source), why, 0.0), None
        else:
            waiting.append(job)
    if waiting:
        yield from _restored(waiting, call, model, outputs)


def _restored(jobs: Sequence[Job], call: Call, model: Model, outputs: Outputs) -> Iterator[Done]:
    from keepface.engine.result import failed

    try:
        restorer, references = load(call, model)
    except KeepfaceError as error:
        if isinstance(error, RecipeError):
            raise
        for job in jobs:
            yield failed(str(job.source), str(error), 0.0), None
        return
    studio = Studio(call, outputs, restorer, references)
    for job in jobs:
        started = time.perf_counter()
        try:
            restoration = _restore(job, studio)
        except (KeepfaceError, OSError, MemoryError) as error:
            yield failed(str(job.source), str(error) or type(error).__name__, time.perf_counter() - started), None
        else:
            yield restoration.to_json(str(job.output)), restoration


def problem(job: Job, call: Call) -> str | None:
    """Find out before the work what would stop it, or its result from being written."""
    if not os.path.exists(job.source):
        return f"{job.source}: there is no such file"
    try:
        _check_output(job, call)
    except KeepfaceError as error:
        return str(error)
    return None


def _beside_problem(job: Job, outputs: Outputs) -> str | None:
    """Find out which file beside the result would have too long a name."""
    from keepface.engine.sidecar import sidecar_path

    beside = [sidecar_path(job.output)] if outputs.sidecar else []
    beside += [] if outputs.report is None else [outputs.report / f"{job.output.name}.html"]
    beside += [] if outputs.evidence is None else [outputs.evidence / f"{job.output.name}.png"]
    long = next((path for path in beside if is_too_long(path)), None)
    return None if long is None else f"{job.source}: {long.name!r} is too long a name for a file; shorten the photo's"


def _check_output(job: Job, call: Call) -> None:
    from keepface.image.endings import FORMATS

    if job.output.suffix.lower() not in FORMATS:
        raise PhotoError(f"{job.output}: no format is known by this ending; use {', '.join(FORMATS)}")
    if is_too_long(job.output):
        raise PhotoError(f"{job.output.parent}: a file can't have a name as long as {job.output.name!r}; shorten it")
    if os.path.exists(job.output) and not call.force:
        raise OutputExistsError(f"{job.output}: exists already; choose another name, or replace it with --force")
    if call.jobs.is_batch:
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PhotoError(f"{job.output.parent}: can't be made: {error.strerror or error}") from None
    if not os.path.isdir(job.output.parent):
        raise PhotoError(f"{job.output}: there is no folder {job.output.parent}; make it first")


def load(call: Call, model: Model) -> "tuple[PictureRestorer, References | People]":
    """Load the networks and whoever leads; references that are left out are told of.

    Raises:
        KeepfaceError: one of them can't be used.
    """
    from keepface.engine.matching import names_of
    from keepface.engine.references import gather_references

    people = open_people(call.library) if call.person is not None or call.everybody else None
    restorer = model.load()
    if people is not None and call.person is not None and model.adapter is None:
        take_adapter(restorer, people, call.person)
    if people is not None and call.everybody:
        known = everybody(restorer, people, call.settings.strict)
        call.settings.choice.check(names_of(known))
        return restorer, known
    references = gather_references(restorer, call.references, call.weights, call.settings.strict)
    if people is not None and call.person is not None:
        references = references_of(restorer, people, call.person, references, call.settings.strict)
    call.settings.choice.check(names_of(references))
    for item in references.left_out:
        tell(f"reference {item.source} left out: {item.reason}")
    return restorer, references


def _restore(job: Job, studio: Studio) -> "Restoration":
    with progress(job.source.name) as advance:
        return restore_and_write(studio, job, advance)
