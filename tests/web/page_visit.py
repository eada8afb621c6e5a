"""The page as somebody uses it: a server of the real application on a free port, and a visit by a real Chromium."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import uvicorn
from torch import Tensor

from keepface.engine.photo import Progress
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import PictureRestorer
from keepface.identity.embed import IdentityFeatures
from keepface.people.features import Networks
from keepface.people.store import open_library
from keepface.web.app import make_app
from keepface.web.jobs import Jobs
from keepface.web.settings import ServeSettings
from keepface.web.workshop import Workshop

from ..engine.plain_restorer import STEPS, PlainRestorer

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
HARMLESS = ("Method not implemented.",)  # what Gradio's own client says when a stream of events ends


class SteppingRestorer(PlainRestorer):
    """Takes steps that can be watched and stopped, and draws each seed a little differently."""

    seconds_a_step = 0.0
    strength = 1.0  # of a seed's own patches

    def restore_squares(
        self,
        low: Tensor,
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
        weights: Sequence[Sequence[float]] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        steps = settings.steps or STEPS
        for step in range(1, steps + 1):
            if progress:
                progress(step, steps)
            time.sleep(self.seconds_a_step)
        plain = super().restore_squares(low, references, settings, seeds, weights)
        return self.drawn(low, plain, references) + self.strength * patterns(seeds, low.shape[-1])

    def drawn(self, low: Tensor, plain: Tensor, references: Sequence[Sequence[IdentityFeatures]]) -> Tensor:
        """Return what is drawn of squares, whatever the seeds; `plain` is what `PlainRestorer` makes of them."""
        return plain


def patterns(seeds: Sequence[int], side: int) -> Tensor:
    """Return soft patches that are each seed's own, up to a tenth of the way from black to white."""
    drawn = [torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(seed % 2**31)) for seed in seeds]
    return torch.nn.functional.interpolate(torch.stack(drawn) * 0.2 - 0.1, (side, side), mode="bicubic")


class House:
    """A running server, and what stands behind it."""

    def __init__(self, folder: Path, restorer: PictureRestorer, **limits: Any) -> None:
        self.settings = ServeSettings(folder=folder / "private", cache=folder / "cache", **limits)
        library = open_library(folder / "library", lambda: "")
        known = Networks(restorer.embedder, restorer.judge)
        self.workshop = Workshop(library, self.settings, lambda _: restorer, lambda: known)
        self.jobs = Jobs(self.settings, self.workshop.hidden)
        self.folder = folder

    @contextmanager
    def open(self) -> Iterator[str]:
        """Serve, and return the address."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(
                make_app(self.workshop, self.jobs, self.settings), log_level="error", timeout_graceful_shutdown=2
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
            finally:
                server.should_exit = True
                thread.join(20)
                self.jobs.close()
                self.workshop.close()

    def empty(self) -> None:
        """Forget everybody and everything."""
        for job in self.jobs.all():
            self.jobs.remove(job.key)
        for person in self.workshop.people():
            self.workshop.forget(person.name)


class Visit:
    """One browser's visit, with every request and complaint of the page."""

    def __init__(self, browser: Any, address: str, kind: dict[str, Any] | None = None) -> None:
        self.context = browser.new_context(**(kind or DESK))
        self.context.set_default_timeout(30_000)
        self.address, self.requests, self.complaints = address, list[str](), list[str]()
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.open()

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.get_by_role("button", name="Add somebody new").wait_for()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def drop(self, where: str, files: Sequence[Path]) -> None:
        """Give files to the field of an id, and wait until they are there."""
        self.page.locator(f"#{where} input[type=file]").set_input_files([str(file) for file in files])
        for file in files:
            self.page.locator(f"#{where}").get_by_text(file.stem[:12]).first.wait_for()

    def add(self, name: str, photos: Sequence[Path]) -> None:
        """Add somebody through the form, and wait for the doctor's word."""
        if not self.page.get_by_role("heading", name="Add somebody").is_visible():
            self.page.get_by_role("button", name="Add somebody new").click()
            self.page.get_by_role("heading", name="Add somebody").wait_for()
        self.drop("kf-person-photos", photos)
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_role("button", name="Add", exact=True).click()
        self.said("kf-doctor", "What")

    def said(self, where: str, words: str) -> str:
        """Wait for words in the part of an id, and return all it says."""
        self.page.locator(f"#{where}").get_by_text(words).first.wait_for()
        return str(self.page.locator(f"#{where}").inner_text())

    def save(self, press: Callable[[], None]) -> tuple[str, bytes]:
        """Press what downloads, and return the file's name and bytes."""
        with self.page.expect_download() as waiting:
            press()
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    def close(self) -> None:
        self.context.close()
        elsewhere = [url for url in self.requests if not url.startswith((self.address, "data:", "blob:"))]
        assert self.requests and elsewhere == []
        assert [text for text in self.complaints if text not in HARMLESS] == []
