"""Restore one photo and write all that was asked for: the picture, what stands beside it, and last the signature."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keepface.cli.outputs import Outputs
from keepface.cli.paths import Job
from keepface.cli.restore_call import Call

if TYPE_CHECKING:
    from keepface.engine.candidates import Candidates
    from keepface.engine.matching import People
    from keepface.engine.provenance import Options
    from keepface.engine.references import References
    from keepface.engine.result import Restoration
    from keepface.engine.sidecar import Sources, Written
    from keepface.engine.whole import PictureRestorer

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Studio:
    """What stays the same for all photos of a call."""

    call: Call
    outputs: Outputs
    restorer: "PictureRestorer"
    references: "References | People"

    @property
    def options(self) -> "Options":
        """Return what the call asks for, but its files."""
        from keepface.engine.provenance import Options

        call, wanted = self.call, self.outputs
        limits = call.limits
        return Options(
            call.settings,
            call.seed,
            call.is_aligned,
            wanted.candidates,
            limits.max_pixels,
            wanted.strip_gps,
            wanted.provenance,
            limits.allow_truncated or None,
        )

    def sources(self, photo: Path) -> "Sources":
        """Return the hashes of the files that a photo's result is made of."""
        from keepface.engine.matching import of_library
        from keepface.engine.sidecar import sources_of

        return sources_of(photo, self.call.references, self.call.weights, of_library(self.references))

    def beside(self, place: Path, job: Job, ending: str) -> Path:
        """Return the file for one photo: the one named, or of several photos one in the folder named."""
        if not self.call.jobs.is_batch:
            return place
        place.mkdir(parents=True, exist_ok=True)
        return place / f"{job.output.name}{ending}"


def restore_and_write(studio: Studio, job: Job, advance: Progress) -> "Restoration":
    """Restore a photo and write what was asked for; errors are those of reading, restoring and writing."""
    from keepface.engine.redo import file_bytes, restore_by
    from keepface.engine.sidecar import Written
    from keepface.image.endings import FORMATS
    from keepface.image.files import keep_dates, read_photo, write_bytes

    outputs, options, force = studio.outputs, studio.options, studio.call.force
    photo = read_photo(job.source, studio.call.limits)
    restoration, candidates = restore_by(
        options, studio.restorer, photo, studio.references, outputs.wants_evidence, advance
    )
    form = FORMATS[job.output.suffix.lower()]
    data, is_copy = file_bytes(restoration, job.source, form, options)
    write_bytes(data, job.output, force)
    if candidates is not None:
        _write_pictures(studio, job, restoration, candidates)
    if outputs.sidecar or outputs.report is not None:
        _write_told(studio, job, restoration, Written(form, data, is_copy))
    if restoration.changed:
        _sign(studio, job)
    keep_dates(job.source, job.output)
    return restoration


def _write_pictures(studio: Studio, job: Job, restoration: "Restoration", candidates: "Candidates") -> None:
    """Write the evidence's overlay, and the pictures of the second best of every face, of the third best, and so on."""
    from keepface.engine.provenance import made_by, mark
    from keepface.image.files import Photo, write_photo

    outputs, evidence, force = studio.outputs, restoration.evidence, studio.call.force
    if outputs.evidence is not None and evidence is not None:
        overlay = Photo(evidence.overlay(restoration.image.pixels))
        write_photo(overlay, studio.beside(outputs.evidence, job, ".png"), force)
    if outputs.candidates_dir is None:
        return
    outputs.candidates_dir.mkdir(parents=True, exist_ok=True)
    for rank in range(1, candidates.count):
        other = candidates.picture(studio.restorer, [rank] * len(candidates.faces))
        marked = mark(other, made_by(studio.restorer.method), studio.options)
        marked.save(outputs.candidates_dir / f"{job.output.stem}.candidate-{rank + 1}{job.output.suffix}", force)


def _write_told(studio: Studio, job: Job, restoration: "Restoration", written: "Written") -> None:
    """Write the recipe and the report."""
    from keepface.engine.disclosure import Disclosed, report
    from keepface.engine.sidecar import describe, sidecar_path
    from keepface.image.files import read_photo, write_bytes

    outputs, force = studio.outputs, studio.call.force
    sidecar = describe(restoration, studio.restorer.method, studio.options, studio.sources(job.source), written)
    if outputs.sidecar:
        write_bytes(sidecar.to_json().encode(), sidecar_path(job.output), force)
    if outputs.report is not None:
        page = report(Disclosed(read_photo(job.source, studio.call.limits), restoration, sidecar))
        write_bytes(page.encode(), studio.beside(outputs.report, job, ".html"), force)


def _sign(studio: Studio, job: Job) -> None:
    outputs = studio.outputs
    if outputs.c2pa_cert is None or outputs.c2pa_key is None:
        return
    from keepface.engine.credentials import Certificate, sign
    from keepface.engine.provenance import made_by

    certificate = Certificate(outputs.c2pa_cert, outputs.c2pa_key, outputs.c2pa_alg)
    sign(job.output, job.source, certificate, made_by(studio.restorer.method), studio.options)
