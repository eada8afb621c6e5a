"""The page Album: many photos at once, as a job that goes on while the page is closed; a zip at its end."""

import contextlib
from functools import partial
from typing import Any

import gradio as gr

from keepface.errors import KeepfaceError, PhotoError
from keepface.web import page_words as words
from keepface.web.album import Album
from keepface.web.jobs import Job, Jobs
from keepface.web.page_texts import NO_ALBUM
from keepface.web.page_wish import WishForm
from keepface.web.page_work import PRESS, QUIET, hand_out, moved, progress_of, stop, told
from keepface.web.refusals import NotReadyError
from keepface.web.workshop import Workshop

TICK_S = 1.5  # ours: between two looks at a running album
ZIP_NAME = "restored-album.zip"


class AlbumPage:
    """The parts of the page and what they do; a visitor's browser remembers the key of its last album."""

    def __init__(self, workshop: Workshop, jobs: Jobs) -> None:
        self.workshop, self.jobs = workshop, jobs
        self.key = gr.BrowserState("", storage_key="keepface-album")
        self.timer = gr.Timer(TICK_S, active=False)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                limit = workshop.settings.photos
                self.photos = gr.File(
                    label=f"Drop up to {limit} photos",
                    file_count="multiple",
                    file_types=["image"],
                    height=220,
                    elem_id="kf-album-photos",
                )
                self.wish = WishForm(workshop, "album", is_album=True)
                with gr.Row():
                    self.go = gr.Button("Restore the album", variant="primary", elem_id="kf-album-go")
                    self.stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="kf-album-stop")
                self.wish.knobs()
            with gr.Column(scale=3, min_width=340):
                self.told = gr.HTML(NO_ALBUM, elem_classes="kf-plain", elem_id="kf-album-told")
                self.zip = gr.Button("Download all as a zip", variant="primary", visible=False, elem_id="kf-album-zip")
                self.table = gr.HTML(elem_classes="kf-plain", elem_id="kf-album-rows")
                self.failed = gr.HTML(elem_classes="kf-plain")
                self.link = gr.DownloadButton("Download", elem_classes="kf-away", elem_id="kf-album-link")
        self.state = [self.told, self.table, self.go, self.stop, self.zip, self.timer]
        self.shown = [self.wish.person, self.key]
        self.refreshed = [self.wish.person, self.wish.known, *self.state]
        started = self.go.click(
            self._start,
            {self.photos, self.key, *self.wish.parts()},
            [self.key, self.photos, self.failed],
            concurrency_limit=None,
            **QUIET,
        )
        started.then(self._look, self.key, self.state, **QUIET)
        self.key.change(self._look, self.key, self.state, **QUIET)  # a browser remembers it a moment after the load
        self.timer.tick(self._look, self.key, self.state, **QUIET)
        self.stop.click(partial(stop, jobs), self.key, None, **QUIET)
        made = self.zip.click(self._save, self.key, [self.link, self.failed], **QUIET)
        made.success(None, None, None, js=PRESS.format("kf-album-link"))

    def refresh(self, person: str | None, key: str) -> list[Any]:
        """Return the people, and how far the album is that this browser knows of."""
        state = self._look(key) if key else [gr.skip()] * len(self.state)  # a browser may remember it a moment later
        return [*self.wish.refresh(person), *state]

    def _start(self, given: dict[Any, Any]) -> tuple[str, Any, str]:
        """Put the album into the queue; the photos move from the form into its private tray."""
        tray = self.workshop.shelf.tray()
        try:
            wish = self.wish.read(given)
            self.jobs.check_room()
            photos = moved(given[self.photos], tray, self.workshop.settings)
            if not photos:
                raise PhotoError("drop photos first")

            def work(progress: Any) -> Album:
                return self.workshop.album(photos, wish, progress=progress)

            job = self.jobs.submit("album", work, self.workshop.who(wish), tray)
        except Exception as error:  # whatever it is, it is told
            self.workshop.shelf.discard(tray)
            return given[self.key], gr.skip(), told(error, self.workshop)
        return job.key, None, ""

    def _look(self, key: str) -> list[Any]:
        """Tell how far the album is."""
        job = self._find(key)
        if job is None:
            return [NO_ALBUM, "", gr.Button(interactive=True), gr.Button(interactive=False), gr.Button(visible=False),
                    gr.Timer(active=False)]  # fmt: skip
        made = job.made if isinstance(job.made, Album) else None
        rows = made.rows if made else ()
        return [
            _state(job, words.album_summary(rows) if rows else ""),
            words.album(rows),
            gr.Button(interactive=job.is_over),
            gr.Button(interactive=not job.is_over and not job.is_to_stop),
            gr.Button(visible=job.is_over and made is not None and made.zip is not None),
            gr.Timer(active=not job.is_over),
        ]

    def _save(self, key: str) -> tuple[Any, str]:
        job = self._find(key)
        try:
            if job is None or not isinstance(job.made, Album) or job.made.zip is None:
                raise NotReadyError("this album is no longer kept; restore it again")
            return hand_out(ZIP_NAME, job.made.zip), ""
        except (KeepfaceError, OSError) as error:
            return None, told(error, self.workshop)

    def _find(self, key: str) -> Job | None:
        with contextlib.suppress(KeepfaceError):
            job = self.jobs.find(key)
            return job if job.kind == "album" else None
        return None


def _state(job: Job, summary: str) -> str:
    if not job.is_over:
        return progress_of(job, "Album")
    if job.state == "failed":
        return words.remark(job.error or "it failed", "bad")
    if job.state == "stopped":
        return words.remark(f"Stopped. {summary or 'Nothing was done yet'}.", "warn")
    return words.remark(f"{summary}.", "warn" if "failed" in summary else "good")
