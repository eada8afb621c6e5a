"""The typed HTTP API under /v1: its calls, its errors, and the description that says so."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from keepface import __version__
from keepface.errors import KeepfaceError
from keepface.web.api_jobs import JobsDesk
from keepface.web.api_people import PeopleDesk
from keepface.web.api_restorations import RestorationsDesk
from keepface.web.desk import Desk, first_problem, refusals
from keepface.web.models import AlbumOptions, Health, Queue, RestoreOptions
from keepface.web.refusals import QueueFullError, RefusedError, said, status_of

ABOUT = (
    "Restore photos of people so that each person still looks like that person. People and results are named by "
    "random keys. Restorations, albums and trainings are jobs: the answer to POST comes before the work, and GET says "
    "where it stands. Every refusal is an Error."
)
DESCRIPTION = "/v1/openapi.json"
IN_FORMS: Sequence[type[BaseModel]] = (RestoreOptions, AlbumOptions)


def add_api(app: FastAPI, desk: Desk) -> None:
    """Register the API's calls, the way its errors are told, and its description."""
    about = APIRouter(prefix="/v1", tags=["server"])

    def health() -> Health:
        """Tell that the server is alive, what methods it has, and how long the queue is."""
        states = [job.state for job in desk.jobs.all()]
        waiting, running = states.count("waiting"), states.count("running")
        queue = Queue(waiting=waiting, running=running, room=max(0, desk.settings.queue - waiting - running))
        family = desk.workshop.family_name
        return Health(version=__version__, family=family, methods=list(desk.workshop.methods()), queue=queue)

    about.add_api_route("/health", health, methods=["GET"], response_model=Health, responses=refusals())
    for router in (about, PeopleDesk(desk).router(), RestorationsDesk(desk).router(), JobsDesk(desk).router()):
        app.include_router(router)
    app.add_api_route(DESCRIPTION, lambda: JSONResponse(app.openapi()), methods=["GET"], include_in_schema=False)
    _tell_errors(app, desk)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, made once; the models that forms hold as JSON are in it."""
    if app.openapi_schema is None:
        schema = get_openapi(title="keepface", version=__version__, description=ABOUT, routes=app.routes)
        _, models = models_json_schema(
            [(model, "validation") for model in IN_FORMS], ref_template="#/components/schemas/{model}"
        )
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {}).update(models["$defs"])
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


def _tell_errors(app: FastAPI, desk: Desk) -> None:
    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, KeepfaceError)
        where = error.where if isinstance(error, RefusedError) else None
        headers = {"retry-after": str(QueueFullError.retry_s)} if isinstance(error, QueueFullError) else None
        return _error(status_of(error), said(error, desk.workshop.hidden), where, headers)

    def unfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        text, where = first_problem(error.errors(), "")
        return _error(422, text, where or None)

    def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error(error.status_code, str(error.detail), None, error.headers)

    app.add_exception_handler(KeepfaceError, refused)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, other)


def _error(status: int, text: str, where: str | None, headers: Any = None) -> Response:
    return JSONResponse({"error": text, "where": where}, status, headers=headers)
