"""/v1/jobs, /v1/albums, /v1/trainings: what takes a while, where it stands, and what it made."""

import functools
from pathlib import Path as Folder
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from keepface.train.person_run import Trained
from keepface.web.album import Album
from keepface.web.desk import Desk, binary, files_of, form_body, made, parsed, refusals, shown
from keepface.web.download import attachment
from keepface.web.forms import Sent
from keepface.web.jobs import Job
from keepface.web.models import (
    AlbumOptions,
    AlbumRow,
    Face,
    JobDetail,
    JobShown,
    JobsShown,
    TrainingOptions,
    TrainingShown,
)
from keepface.web.refusals import NotReadyError, NotThereError, UnfitError

PARTS = {"photos": True, "references": True, "options": False}
BODY = form_body(
    {
        "photos": {"type": "array", "items": files_of("A photo to restore."), "minItems": 1},
        "references": {"type": "array", "items": files_of("Another photo of the one person.")},
        "options": {"$ref": "#/components/schemas/AlbumOptions"},
    },
    ["photos"],
)
Key = Annotated[str, Path(description="The job's key.")]


class JobsDesk:
    """The calls."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._workshop = desk, desk.workshop

    def router(self) -> APIRouter:
        """Return the calls with their paths."""
        router = APIRouter(prefix="/v1", tags=["jobs"])
        add = router.add_api_route
        add(
            "/albums",
            self.album,
            methods=["POST"],
            status_code=202,
            response_model=JobShown,
            responses=refusals(404, 409, 415),
            openapi_extra=BODY,
        )
        add(
            "/trainings",
            self.train,
            methods=["POST"],
            status_code=202,
            response_model=JobShown,
            responses=refusals(404, 409),
        )
        add("/jobs", self.all, methods=["GET"], response_model=JobsShown, responses=refusals())
        add("/jobs/{key}", self.show, methods=["GET"], response_model=JobDetail, responses=refusals(404))
        add("/jobs/{key}", self.delete, methods=["DELETE"], status_code=204, response_class=Response,
            responses=refusals(404))  # fmt: skip
        add("/jobs/{key}/stop", self.stop, methods=["POST"], response_model=JobShown, responses=refusals(404))
        add("/jobs/{key}/download", self.download, methods=["GET"], response_class=Response,
            responses=refusals(404, 409) | binary("application/zip"))  # fmt: skip
        return router

    def all(self) -> JobsShown:
        """List all jobs, restorations among them, the oldest first."""
        return JobsShown(jobs=[shown(job) for job in self._desk.jobs.all()])

    async def album(self, request: Request) -> JobShown:
        """Restore many photos into one zip; a photo that can't be is told of, and the others are done."""
        self._desk.jobs.check_room()
        async with self._desk.form(request, PARTS) as (sent, tray):
            return shown(await run_in_threadpool(self._submit, sent, tray))

    def train(self, asked: TrainingOptions) -> JobShown:
        """Learn a person from their best photos, where the family has PFStorer; a stopped training goes on."""
        name = self._desk.person(asked.person).name
        self._workshop.check_training(name)
        work = functools.partial(self._workshop.train, name, steps=asked.steps, seed=asked.seed)
        return shown(self._desk.jobs.submit("training", lambda progress: work(progress), (name,)))

    def show(self, key: Key) -> JobDetail:
        """Tell where a job stands, and what it made so far."""
        job = self._desk.job(key)
        detail = JobDetail.model_validate(shown(job).model_dump())
        if isinstance(job.made, Album):
            rows = [
                AlbumRow(
                    name=row.name,
                    output=row.output,
                    error=row.error,
                    seconds=round(row.seconds, 3),
                    faces=[Face.of(face) for face in row.faces],
                )
                for row in job.made.rows
            ]
            return detail.model_copy(update={"rows": rows})
        if isinstance(job.made, Trained):
            told = TrainingShown.model_validate(job.made, from_attributes=True)
            return detail.model_copy(update={"training": told})
        return detail

    def stop(self, key: Key) -> JobShown:
        """Stop a job: one that waits at once, one that runs at its next step; what an album has done is kept."""
        self._desk.jobs.stop(key)
        return shown(self._desk.job(key))

    def delete(self, key: Key) -> None:
        """Delete a job with all that it made; one that is at work is stopped."""
        self._desk.jobs.remove(key)

    def download(self, key: Key) -> Response:
        """Return an album's zip, when it is done or stopped."""
        job = self._desk.job(key)
        if job.kind != "album":
            raise NotThereError(f"a {job.kind} has no zip")
        album = made(job)
        path = album.zip if isinstance(album, Album) else None
        if path is None:
            raise NotReadyError("no photo of this album could be restored, so that there is nothing to download")
        return FileResponse(path, media_type="application/zip", headers=attachment("restored.zip"))

    def _submit(self, sent: Sent, tray: Folder) -> Job:
        photos, references = sent.files.get("photos", ()), sent.files.get("references", ())
        if not photos:
            raise UnfitError("at least one photo is needed", "photos")
        options = parsed(AlbumOptions, sent.fields.get("options", "{}"), "options")
        wish = self._desk.wish(options, references)
        return self._desk.jobs.submit(
            "album", lambda progress: self._workshop.album(photos, wish, None, progress), self._workshop.who(wish), tray
        )
