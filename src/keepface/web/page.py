"""The page in the browser: People, Restore, Album; by Gradio, on the app that also answers the API.

Nothing is fetched from elsewhere and nothing is told to anybody. What a browser sends lies in Gradio's own folder
until it is used or too old; that folder is named by GRADIO_TEMP_DIR and belongs inside the private one.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from fastapi import FastAPI

from keepface.web import look
from keepface.web.jobs import Jobs
from keepface.web.page_album import AlbumPage
from keepface.web.page_people import PeoplePage
from keepface.web.page_restore import RestorePage
from keepface.web.page_texts import DROPPING, HEAD, META
from keepface.web.page_work import QUIET
from keepface.web.settings import ServeSettings
from keepface.web.workshop import Workshop

STAY_S = 15  # ours: seconds in which it is seen that a page was closed
SWEEP_S = 60  # ours: seconds between two looks for files of the page that are too old


def mount(app: FastAPI, workshop: Workshop, jobs: Jobs, settings: ServeSettings) -> FastAPI:
    """Put the page at `/` of an app whose other routes are there already, and return the app."""
    return gr.mount_gradio_app(
        app,
        build(workshop, jobs, settings),
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        footer_links=[],
        run_history=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        allowed_paths=[],
        show_error=False,
        max_file_size=f"{settings.upload_mib}mb",
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=look.theme(),
        css=look.css(),
        head=META,
        i18n=gr.I18n(en=DROPPING),
    )


def build(workshop: Workshop, jobs: Jobs, settings: ServeSettings) -> Any:
    """Lay the page out; nothing in it is one visitor's alone but what `gr.State` holds for them."""
    keep_s = max(SWEEP_S, round(60 * settings.keep_minutes))
    with gr.Blocks(title="keepface", analytics_enabled=False, delete_cache=(SWEEP_S, keep_s)) as page:
        changed = gr.State(0)
        gr.HTML(HEAD, elem_classes="kf-plain")
        with gr.Tabs():
            with gr.Tab("People", id="people"):
                PeoplePage(workshop, jobs, changed)
            with gr.Tab("Restore", id="restore") as restore:
                restoring = RestorePage(workshop, jobs)
            with gr.Tab("Album", id="album") as album:
                filling = AlbumPage(workshop, jobs)
        page.load(stay, None, None, concurrency_limit=None, **QUIET)
        for tab, part in ((restore, restoring), (album, filling)):
            gr.on([page.load, tab.select, changed.change], part.refresh, part.shown, part.refreshed, **QUIET)
    return page


async def stay() -> AsyncIterator[None]:
    """Keep the stream of answers to a page open for as long as the page is.

    Gradio closes it whenever nothing is under way. What is asked for at just that moment is answered into a stream that
    nobody reads, until something else is asked for.
    """
    while True:
        yield None
        await asyncio.sleep(STAY_S)
