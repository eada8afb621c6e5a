"""The web application: the API, the page, and the guard before both; and how it is served."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from keepface.errors import MissingExtraError
from keepface.listening import address, listen
from keepface.people.private_files import make_private
from keepface.web.api import add_api
from keepface.web.desk import Desk
from keepface.web.guard import Guard
from keepface.web.jobs import Jobs
from keepface.web.settings import ServeSettings
from keepface.web.workshop import Workshop

PAGE_CACHE = "GRADIO_TEMP_DIR"  # environment variable that Gradio reads


def make_app(workshop: Workshop, jobs: Jobs, settings: ServeSettings, has_page: bool = True) -> FastAPI:
    """Make the application.

    Raises:
        MissingExtraError: the page needs a package that is not installed.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, settings=settings)
    add_api(app, Desk(workshop, jobs, settings))
    if has_page:
        make_private(workshop.shelf.page)
        os.environ[PAGE_CACHE] = str(workshop.shelf.page)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        try:
            from keepface.web import page
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"the page needs {error.name}: pip install 'keepface[web]'") from None
        app = page.mount(app, workshop, jobs, settings)
    return app


def serve(workshop: Workshop, settings: ServeSettings, ready: Callable[[str], None], has_page: bool = True) -> None:
    """Serve until interrupted; `ready` is told the address. No call is logged, and at the end nothing is left.

    Raises:
        RecipeError: the address can't be used.
    """
    with contextlib.ExitStack() as held:
        held.callback(workshop.close)
        listener = held.enter_context(listen(settings.host, settings.port))
        jobs = Jobs(settings, workshop.hidden, workshop.tidy)
        held.callback(jobs.close)
        app = make_app(workshop, jobs, settings, has_page)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        ready(address(settings.host, listener))
        with contextlib.suppress(KeyboardInterrupt), _ended_by_signals():
            uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn the signal to end into an interrupt, so that what is private is deleted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
