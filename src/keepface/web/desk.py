"""What the parts of the API share: where work is done, how forms are received, and how calls describe themselves."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from keepface.people.person import Person
from keepface.web.forms import FormLimits, Sent, read_form
from keepface.web.jobs import Job, Jobs, Kind
from keepface.web.models import AlbumOptions, Error, JobShown
from keepface.web.refusals import NotReadyError, NotThereError, QueueFullError, UnfitError
from keepface.web.restored import Wish
from keepface.web.settings import MIB, ServeSettings
from keepface.web.uploads import Given
from keepface.web.workshop import Workshop

MEANINGS = {
    400: "The call can't be read, or breaks off.",
    401: "The token is missing or wrong.",
    403: "The call comes from another site.",
    404: "There is no such thing, or no longer.",
    409: "Not now: it is not made yet, or something stands in the way.",
    413: "More bytes, pixels or files than the limits allow.",
    415: "A file or a body of a type that is not read.",
    422: "A part of the call is no value for it.",
    429: "Too many calls.",
    500: "Something went wrong inside keepface.",
    503: "The queue is full, or a part of keepface is missing.",
}
ALWAYS = (400, 401, 403, 413, 422, 429, 500, 503)
Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(eq=False)
class Desk:
    """The workshop and its queue, as the API's calls need them."""

    workshop: Workshop
    jobs: Jobs
    settings: ServeSettings
    receiving: int = field(default=0, init=False)  # calls that send files just now

    @asynccontextmanager
    async def form(
        self, request: Request, parts: Mapping[str, bool], files: int | None = None
    ) -> AsyncIterator[tuple[Sent, Path]]:
        """Receive a form into a tray, which is deleted at the end unless a job has taken it.

        Raises:
            QueueFullError: too many calls send files just now.
            RefusedError: as `read_form`.
        """
        if self.receiving >= self.settings.uploads:
            raise QueueFullError(f"{self.receiving} calls are sending files, and no more are taken; try again")
        self.receiving += 1
        tray = self.workshop.shelf.tray()
        try:
            limits = self.settings
            most = FormLimits(limits.upload_mib * MIB, limits.album_mib * MIB, files or limits.photos, limits.silence_s)
            yield await read_form(request, tray, most, parts), tray
        finally:
            self.receiving -= 1
            if not any(job.tray == tray for job in self.jobs.all()):
                self.workshop.shelf.discard(tray)

    def person(self, key: str) -> Person:
        """Return the person of a key; a `NotThereError` when there is none."""
        for person in self.workshop.people():
            if person.key == key:
                return person
        raise NotThereError("there is no person of this key in the library")

    def wish(self, options: AlbumOptions, references: Sequence[Given], wants_evidence: bool = False) -> Wish:
        """Return what options and references ask for.

        Raises:
            KeepfaceError: it can't be done here; nothing is loaded to find out.
        """
        person = None if options.person is None else self.person(options.person).name
        is_open = person is None and not references
        wish = Wish(
            options.method,
            is_open if options.everybody is None else options.everybody,
            person,
            tuple(references),
            options.settings(self.settings.max_pixels),
            options.seed,
            options.candidates,
            wants_evidence,
            options.strip_gps,
        )
        self.workshop.check_wish(wish)
        return wish

    def job(self, key: str, kind: Kind | None = None) -> Job:
        """Return a job, of a kind if one is named; a `NotThereError` when there is none."""
        job = self.jobs.find(key)
        if kind is not None and job.kind != kind:
            raise NotThereError(f"this job is no {kind}; see /v1/jobs")
        return job


def made(job: Job) -> Any:
    """Return what a job made.

    Raises:
        NotReadyError: it is not done, or never will be.
    """
    if job.made is None or not job.is_over:
        why = {"failed": f"it failed: {job.error}", "stopped": "it was stopped"}.get(job.state)
        raise NotReadyError(why or f"it is {job.state}; ask again later")
    return job.made


def shown(job: Job) -> JobShown:
    """Tell where a job stands."""
    return JobShown.model_validate(job, from_attributes=True)


def parsed(model: type[Asked], text: str | Mapping[str, Any], where: str) -> Asked:
    """Read JSON, or the fields of a form, as a model; an `UnfitError` names the first part that is none."""
    try:
        if isinstance(text, str):
            return model.model_validate_json(text)
        return model.model_validate(dict(text))
    except ValidationError as error:
        raise UnfitError(*first_problem(error.errors(include_input=False), where)) from None
    except ValueError:  # lone surrogates, numbers of a million digits
        raise UnfitError("is not JSON that can be read", where) from None


def first_problem(errors: Sequence[Mapping[str, Any]], where: str) -> tuple[str, str]:
    """Return what is wrong first, and with what part."""
    if not errors:
        return "can't be read", where
    first = errors[0]
    path = [where, *(str(part) for part in first.get("loc", ()))]
    return str(first.get("msg", "is no value for it")), ".".join(part for part in path if part)


def refusals(*more: int) -> dict[int | str, dict[str, Any]]:
    """Describe the statuses by which a call can be refused: those of all calls, and more."""
    return {status: {"model": Error, "description": MEANINGS[status]} for status in sorted({*ALWAYS, *more})}


def form_body(properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    """Describe a form: its parts by their schemas; `options` is JSON."""
    schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"schema": schema}
    if "options" in properties:
        content["encoding"] = {"options": {"contentType": "application/json"}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": content}}}


def text_parts(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the texts of a form by a model's schema; what may be left out is left out, and never null."""
    parts = {}
    for name, schema in model.model_json_schema()["properties"].items():
        kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
        if rest.get("default", 0) is None:
            del rest["default"]
        parts[name] = rest | (kinds[0] if kinds else {})
    return parts


def files_of(name: str) -> dict[str, Any]:
    """Describe bytes in the schema of a form or an answer."""
    return {"type": "string", "format": "binary", "description": name}


def binary(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Describe an answer that is a file."""
    return {200: {"description": "The file.", "content": {kind: {"schema": files_of("The file.")} for kind in kinds}}}
