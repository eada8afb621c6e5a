"""/v1/restorations: one photo in, its picture, receipts and candidates out."""

from pathlib import Path as Folder
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from keepface.engine.candidates import MOST
from keepface.image.endings import MIME
from keepface.web.desk import Desk, binary, files_of, form_body, made, parsed, refusals, shown
from keepface.web.download import attachment
from keepface.web.forms import Sent
from keepface.web.jobs import Job
from keepface.web.models import (
    CandidatesShown,
    Face,
    FaceCandidate,
    FaceCandidates,
    JobShown,
    LeftOutPhoto,
    RestorationDetail,
    RestorationsShown,
    RestoreOptions,
)
from keepface.web.refusals import NotReadyError, NotThereError, UnfitError
from keepface.web.restored import ENDINGS, Restored, checked_form

MOST_REFERENCES = 20
PARTS = {"photo": True, "references": True, "options": False}
BODY = form_body(
    {
        "photo": files_of("The photo to restore."),
        "references": {
            "type": "array",
            "items": files_of("Another photo of the person."),
            "maxItems": MOST_REFERENCES,
        },
        "options": {"$ref": "#/components/schemas/RestoreOptions"},
    },
    ["photo"],
)
RECIPE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The recipe.", "content": {"application/json": {"schema": {"type": "object"}}}}
}
REPORT_HEADERS = {  # the page is ours, and yet holds a caller's words
    "content-security-policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
}
Key = Annotated[str, Path(description="The restoration's key.")]
Rank = Annotated[int, Field(ge=0, lt=MOST)]
Format = Literal["png", "jpeg", "webp", "tiff"]


class RestorationsDesk:
    """The calls."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._workshop = desk, desk.workshop

    def router(self) -> APIRouter:
        """Return the calls with their paths."""
        router = APIRouter(prefix="/v1/restorations", tags=["restorations"])
        add = router.add_api_route
        add("", self.all, methods=["GET"], response_model=RestorationsShown, responses=refusals())
        add(
            "",
            self.create,
            methods=["POST"],
            status_code=202,
            response_model=JobShown,
            responses=refusals(404, 409, 415),
            openapi_extra=BODY,
        )
        add("/{key}", self.show, methods=["GET"], response_model=RestorationDetail, responses=refusals(404))
        add(
            "/{key}", self.delete, methods=["DELETE"], status_code=204, response_class=Response, responses=refusals(404)
        )
        add("/{key}/candidates", self.candidates, methods=["GET"], response_model=CandidatesShown,
            responses=refusals(404, 409))  # fmt: skip
        for path, call, kinds in (
            ("picture", self.picture, tuple(MIME.values())),
            ("overlay", self.overlay, ("image/png",)),
            ("report", self.report, ("text/html",)),
        ):
            add(
                f"/{{key}}/{path}",
                call,
                methods=["GET"],
                response_class=Response,
                responses=refusals(404, 409) | binary(*kinds),
            )
        add("/{key}/recipe", self.recipe, methods=["GET"], response_class=Response,
            responses=refusals(404, 409) | RECIPE)  # fmt: skip
        return router

    def all(self) -> RestorationsShown:
        """List the restorations, the oldest first."""
        jobs = self._desk.jobs.all()
        return RestorationsShown(restorations=[shown(job) for job in jobs if job.kind == "restoration"])

    async def create(self, request: Request) -> JobShown:
        """Restore a photo; the answer comes before the work, and its key says where to ask for the rest."""
        self._desk.jobs.check_room()
        async with self._desk.form(request, PARTS, 1 + MOST_REFERENCES) as (sent, tray):
            return shown(await run_in_threadpool(self._submit, sent, tray))

    def show(self, key: Key) -> RestorationDetail:
        """Tell where a restoration stands and, when it is done, what was done to each face."""
        job = self._desk.job(key, "restoration")
        detail = RestorationDetail.model_validate(shown(job).model_dump())
        if not isinstance(job.made, Restored):
            return detail
        done, restoration = job.made, job.made.restoration
        shares = {item.face: item for item in restoration.evidence.faces} if restoration.evidence else {}
        height, width = restoration.image.pixels.shape[1:]
        told = {
            "name": done.name,
            "width": width,
            "height": height,
            "seconds": round(restoration.seconds, 3),
            "changed": restoration.changed,
            "cleaned": restoration.cleaned and restoration.changed,
            "tiles": restoration.tiles,
            "candidates": 1 if done.candidates is None else done.candidates.count,
            "has_evidence": restoration.evidence is not None,
            "faces": [Face.of(face, shares.get(number)) for number, face in enumerate(restoration.faces)],
            "left_out": [LeftOutPhoto(name=item.source, reason=item.reason) for item in restoration.left_out],
        }
        return detail.model_copy(update=told)

    def candidates(self, key: Key) -> CandidatesShown:
        """Show the candidates of every restored face, best first, in the order in which ranks are given."""
        done = self._made(key)
        if done.candidates is None:
            raise NotReadyError("only one candidate was drawn of each face; ask for more when the photo is restored")
        numbers = [number for number, plan in enumerate(done.candidates.look.plans, 1) if plan.is_restored]
        faces = [
            FaceCandidates(face=number, candidates=[FaceCandidate.of(item) for item in face.table])
            for number, face in zip(numbers, done.candidates.faces, strict=True)
        ]
        return CandidatesShown(faces=faces, missing=done.candidates.missing)

    def picture(
        self,
        key: Key,
        format: Annotated[Format | None, Query(description="Default: the photo's own.")] = None,  # noqa: A002
        rank: Annotated[
            list[Rank] | None, Query(max_length=100, description="Of each restored face its candidate, 0 the best.")
        ] = None,
    ) -> Response:
        """Return the picture's file, with the photo's metadata and the statement that a model painted in it."""
        done = self._made(key)
        form = done.form if format is None else checked_form(format)
        return Response(
            done.file(form, rank or None),
            media_type=MIME[form],
            headers=attachment(f"{done.name.rpartition('.')[0] or done.name}-restored{ENDINGS[form]}", "inline"),
        )

    def overlay(self, key: Key) -> Response:
        """Return the evidence over the picture: blue came from the references, vermilion from nowhere."""
        return Response(self._made(key).overlay(), media_type=MIME["PNG"])

    def report(self, key: Key) -> Response:
        """Return the report of what was done, one HTML page for archives and forensic readers."""
        return Response(self._made(key).report(), media_type="text/html", headers=REPORT_HEADERS)

    def recipe(
        self,
        key: Key,
        format: Annotated[Format | None, Query(description="Default: the photo's own.")] = None,  # noqa: A002
    ) -> Response:
        """Return the recipe by which `keepface redo` makes the best picture again, byte for byte."""
        return Response(self._made(key).recipe(format), media_type="application/json")

    def delete(self, key: Key) -> None:
        """Delete a restoration with all that was made; one that is at work is stopped."""
        self._desk.jobs.remove(self._desk.job(key, "restoration").key)

    def _made(self, key: str) -> Restored:
        done = made(self._desk.job(key, "restoration"))
        if not isinstance(done, Restored):
            raise NotThereError("this restoration made nothing")
        return done

    def _submit(self, sent: Sent, tray: Folder) -> Job:
        photos = sent.files.get("photo", ())
        if len(photos) != 1:
            raise UnfitError(f"one photo is needed; {len(photos)} were sent", "photo")
        photo, references = photos[0], sent.files.get("references", ())
        options = parsed(RestoreOptions, sent.fields.get("options", "{}"), "options")
        wish = self._desk.wish(options, references, options.evidence)
        self._workshop.read(photo)
        return self._desk.jobs.submit(
            "restoration",
            lambda progress: self._workshop.restore(photo, wish, progress),
            self._workshop.who(wish),
            tray,
        )
