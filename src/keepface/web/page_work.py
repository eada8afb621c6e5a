"""What all parts of the page do alike: take files in, follow a job, tell what failed, hand out a file."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from keepface.errors import KeepfaceError, PhotoError
from keepface.web import page_words as words
from keepface.web.jobs import Job, Jobs
from keepface.web.refusals import TooMuchError, said
from keepface.web.settings import MIB, ServeSettings
from keepface.web.uploads import Filed, Upload
from keepface.web.workshop import Workshop

HIDDEN: dict[str, Any] = {"api_visibility": "private"}  # the page's own calls are no API
QUIET: dict[str, Any] = {**HIDDEN, "show_progress": "hidden"}
GLANCE_S = 0.4  # ours: between two looks at a running job
HANDED_OUT, HANDED_S = "handed-out", 600.0  # folder of downloads, and how long a file stays in it
# A browser starts a download only from a link of the page: the hidden one is pressed when its file is there.
PRESS = "() => setTimeout(() => document.querySelector('#{0} a, a#{0}, #{0}')?.click(), 60)"


def told(error: BaseException, workshop: Workshop) -> str:
    """Return what failed, and why, as a remark."""
    return words.remark(said(error, workshop.hidden), "bad")


def check_files(files: Sequence[str] | None, settings: ServeSettings) -> list[str]:
    """Return the files that were dropped; a `TooMuchError` when they are more than the limits allow."""
    dropped = list(files or ())
    if len(dropped) > settings.photos:
        raise TooMuchError(f"{len(dropped)} photos are more than the {settings.photos} that are taken at once")
    for path in dropped:
        if not os.path.isfile(path):
            raise PhotoError(f"{Path(path).name}: is no longer kept here; drop it again")
        if os.path.getsize(path) > settings.upload_mib * MIB:
            raise TooMuchError(f"{Path(path).name}: is larger than {settings.upload_mib} MiB")
    return dropped


def in_memory(files: Sequence[str] | None, settings: ServeSettings) -> tuple[Upload, ...]:
    """Read dropped files; they stay in the form, so that a photo can be tried again with another setting."""
    return tuple(Upload(Path(path).name, Path(path).read_bytes()) for path in check_files(files, settings))


def drop(files: Sequence[str] | None) -> None:
    """Delete dropped files that were taken over."""
    for path in files or ():
        Path(path).unlink(missing_ok=True)


def moved(files: Sequence[str] | None, tray: Path, settings: ServeSettings) -> tuple[Filed, ...]:
    """Move dropped files into a private tray, under names of ours."""
    found = []
    for number, path in enumerate(check_files(files, settings)):
        place = tray / f"given-{number:06}"
        shutil.move(path, place)
        found.append(Filed(Path(path).name, place))
    return tuple(found)


def follow(jobs: Jobs, key: str, label: str) -> Iterator[tuple[Job | None, str]]:
    """Yield a job and how far it is, until it is over; `None` when it was deleted meanwhile."""
    last = ""
    while True:
        try:
            job = jobs.wait(key, GLANCE_S)
        except KeepfaceError:
            yield None, words.remark("It was deleted meanwhile.", "warn")
            return
        if job.is_over:
            yield job, ""
            return
        now = progress_of(job, label)
        if now != last:
            last = now
            yield job, now


def streamed(work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return a generator in a form that Gradio knows for one, also where a decorator hides that."""
    return lambda *given: (yield from work(*given))  # type: ignore[return-value]


def progress_of(job: Job, label: str) -> str:
    """Return how far a job is that waits or runs."""
    if job.state == "waiting":
        return words.bar(f"{label}: waiting until what was asked for before is done", 0, 0)
    if job.is_to_stop:
        return words.bar(f"{label}: stopping", job.done, job.total)
    if not job.total:
        return words.bar(f"{label}: getting ready", 0, 0)
    left = _left(job)
    return words.bar(f"{label}: {job.done} of {job.total}{left}", job.done, job.total)


def _left(job: Job) -> str:
    """Say how long it will take, once that can be guessed."""
    if not job.started or not job.done or job.done == job.total:
        return ""
    seconds = (time.time() - job.started) / job.done * (job.total - job.done)
    if seconds < 20:
        return ""
    return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"


def stop(jobs: Jobs, *keys: str) -> None:
    """Stop jobs; those that are gone are stopped already."""
    for key in keys:
        if key:
            with contextlib.suppress(KeepfaceError):
                jobs.stop(key)


def hand_out(name: str, data: bytes | Path) -> str:
    """Lay a file out for a download and return its path; those laid out earlier are cleared away after ten minutes.

    It lies in the page's own folder, which goes with the server.
    """
    folder = Path(gr.utils.get_upload_folder()) / HANDED_OUT
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > HANDED_S:
                shutil.rmtree(old)
    place = folder / secrets.token_hex(16)
    place.mkdir(mode=0o700)
    file = place / name
    if isinstance(data, Path):
        shutil.copyfile(data, file)
    else:
        file.write_bytes(data)
    return str(file)
