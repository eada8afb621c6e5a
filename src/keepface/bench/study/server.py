"""The study as a page in the browser: FastAPI on this machine, nothing fetched from elsewhere, nothing told of methods.

A voter's browser gets the page, a task at a time and the pictures, all by names that say nothing. It sends a voter's
code in the header `X-Voter` and votes as `{"task": ..., "choice": ...}`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepface.bench.study.plan import QUESTIONS, TIE, Study, Task, picture_path, read_study
from keepface.bench.study.votes import BallotBox, Cast, Vote
from keepface.listening import address, listen

PAGE = Path(__file__).with_name("page")
PAGE_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "study.css": ("study.css", "text/css; charset=utf-8"),
    "study.js": ("study.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
MAX_BODY_BYTES = 4096
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "cache-control": "no-store",
}
PICTURE_CACHE = "private, max-age=86400, immutable"

Code = Annotated[str, Header(alias="X-Voter", max_length=64)]


class Ballot(BaseModel):
    """The body of a vote."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: str = Field(max_length=64)
    choice: str = Field(max_length=64)


class Desk:
    """The answers to a browser's requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study: Study = read_study(folder)
        self.box = BallotBox(folder)
        self.pictures = frozenset(name for task in self.study.tasks for name in task.pictures)

    def about(self) -> dict[str, Any]:
        """Say what the study asks."""
        asked = [
            {"name": name, "prompt": QUESTIONS[name].prompt, "hint": QUESTIONS[name].hint}
            for name in self.study.questions
        ]
        total = len(self.study.tasks_of(""))
        return {
            "id": self.study.id,
            "title": self.study.title,
            "questions": asked,
            "tie": self.study.tie,
            "total": total,
        }

    def new_voter(self) -> dict[str, Any]:
        """Give out a new voter's code."""
        return {"voter": self.box.new_voter()}

    def next_task(self, voter: Code = "") -> dict[str, Any]:
        """Give a voter the first task that they have not answered, and the pictures of the one after it."""
        self._admit(voter)
        return self._next(voter)

    def vote(self, ballot: Ballot, response: Response, voter: Code = "") -> dict[str, Any]:
        """Count a vote, once, and give the next task."""
        self._admit(voter)
        task = next((task for task in self.study.tasks_of(voter) if task.id == ballot.task), None)
        if task is None:
            raise HTTPException(404, "you are not asked this")
        choices = {choice.picture for choice in task.choices} | ({TIE} if self.study.tie else set())
        if ballot.choice not in choices:
            raise HTTPException(400, "this is none of the choices")
        cast = self.box.cast(Vote(voter, ballot.task, ballot.choice))
        if cast is Cast.UNKNOWN_VOTER:
            raise HTTPException(401, "this code is no voter's")
        if cast is Cast.REFUSED:
            raise HTTPException(409, "you have answered this already, and otherwise; the first answer stands")
        response.status_code = 201 if cast is Cast.COUNTED else 200
        return self._next(voter)

    def picture(self, name: str) -> Response:
        """Give a picture of the study, without its file's dates."""
        if name not in self.pictures:
            raise HTTPException(404, "there is no such picture")
        data = picture_path(self.folder, name).read_bytes()
        return Response(data, media_type="image/png", headers={"cache-control": PICTURE_CACHE})

    def _admit(self, voter: str) -> None:
        if not self.box.knows(voter):
            raise HTTPException(401, "this code is no voter's")

    def _next(self, voter: str) -> dict[str, Any]:
        tasks, done = self.study.tasks_of(voter), self.box.answered(voter)
        rest = [task for task in tasks if task.id not in done]
        return {
            "done": len(tasks) - len(rest),
            "total": len(tasks),
            "task": _shown(rest[0]) if rest else None,
            "upcoming": list(rest[1].pictures) if len(rest) > 1 else [],
        }


class Guard:
    """Sets the headers that keep a page to itself, and refuses bodies that are larger than any vote."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in there)]
            await send(message)

        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            refused = JSONResponse({"detail": f"a vote has a length of at most {MAX_BODY_BYTES} bytes"}, 413)
            await refused(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


def create_app(folder: Path) -> FastAPI:
    """Make the web application of a study's folder.

    Raises:
        DataError: the folder holds no whole study.
    """
    desk = Desk(folder)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    app.add_api_route("/api/study", desk.about, methods=["GET"])
    app.add_api_route("/api/voters", desk.new_voter, methods=["POST"], status_code=201)
    app.add_api_route("/api/task", desk.next_task, methods=["GET"])
    app.add_api_route("/api/votes", desk.vote, methods=["POST"])
    app.add_api_route("/pictures/{name}.png", desk.picture, methods=["GET"])
    for name, (file, kind) in PAGE_FILES.items():
        app.add_api_route(f"/{name}", _page(PAGE / file, kind), methods=["GET"])
    app.add_exception_handler(RequestValidationError, _malformed)
    return app


def serve(folder: Path, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve a study until interrupted; `ready` is told the address. Port 0 takes a free one; no request is logged.

    Raises:
        DataError: the folder holds no whole study.
        RecipeError: the address can't be used.
    """
    app = create_app(folder)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, proxy_headers=False)
    with listen(host, port) as listener:
        ready(address(host, listener))
        try:
            uvicorn.Server(settings).run(sockets=[listener])
        except KeyboardInterrupt:
            return


def _shown(task: Task) -> dict[str, Any]:
    """Return what a browser may know of a task."""
    return {
        "id": task.id,
        "question": task.question,
        "choices": [choice.picture for choice in task.choices],
        "references": list(task.references),
        "input": task.input or None,
    }


def _page(path: Path, kind: str) -> Callable[[], Response]:
    data = path.read_bytes()
    return lambda: Response(data, media_type=kind)


def _malformed(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": 'a vote is JSON such as {"task": "...", "choice": "..."}'}, 422)
