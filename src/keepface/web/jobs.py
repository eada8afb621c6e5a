"""One worker, first come first served: the networks serve one job at a time, and what was made is kept for a while."""

import contextlib
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from keepface.engine.photo import Progress
from keepface.errors import KeepfaceError
from keepface.people.person import same_name
from keepface.web.refusals import NotThereError, QueueFullError, said
from keepface.web.settings import MIB, ServeSettings

Kind = Literal["restoration", "album", "training"]
State = Literal["waiting", "running", "done", "failed", "stopped"]
SWEEP_S = 20.0  # ours: seconds between two looks for what is too old
FAREWELL_S = 10.0  # ours: seconds that a running job has to end when the server does


class Stopped(Exception):  # noqa: N818 - it is no error
    """Ends the work of a job that was stopped; `made` is what is there of it all the same."""

    def __init__(self, made: Any = None) -> None:
        super().__init__("stopped")
        self.made = made


@runtime_checkable
class Kept(Protocol):
    """What a job made, where it takes room or shows people."""

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes."""
        ...

    @property
    def people(self) -> tuple[str, ...]:
        """Name the people of the library whom it shows."""
        ...

    def discard(self) -> None:
        """Delete its files."""
        ...


@runtime_checkable
class Shows(Protocol):
    """A way to tell of progress by which half-made things can be shown too."""

    def __call__(self, done: int, total: int) -> None:
        """Tell how far it is."""
        ...

    def show(self, made: Any) -> None:
        """Show what is made so far."""
        ...


@dataclass(eq=False)
class Job:
    """Something to do, and what became of it; only `Jobs` changes it."""

    kind: Kind
    work: Callable[[Progress], Any] | None  # None: it is done with
    people: tuple[str, ...] = ()  # of the library, who may be in it
    tray: Path | None = None  # folder of the files it works on, deleted when it is over
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    state: State = "waiting"
    done: int = 0
    total: int = 0  # 0: not known yet
    error: str | None = None
    made: Any = None  # also what is half-made, while it runs
    created: float = field(default_factory=time.time)  # seconds since 1970, as the others
    started: float | None = None
    ended: float | None = None
    is_to_stop: bool = False

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")


@dataclass(frozen=True, eq=False)
class _Advance:
    """What a job's work is given to tell how far it is; it ends the work of a job that was stopped."""

    job: Job

    def __call__(self, done: int, total: int) -> None:
        self.job.done, self.job.total = done, total
        if self.job.is_to_stop:
            raise Stopped

    def show(self, made: Any) -> None:
        self.job.made = made


class Jobs:
    """The queue and its worker; any thread may call.

    `hide` are folders that no error tells; `tidy` is called now and then while nothing is to be done.
    """

    def __init__(
        self, settings: ServeSettings, hide: Sequence[Path] = (), tidy: Callable[[], None] | None = None
    ) -> None:
        self._settings, self._hide, self._tidy = settings, tuple(hide), tidy
        self._jobs: dict[str, Job] = {}  # in the order in which they came
        self._change = threading.Condition()
        self._is_closed = False
        self._worker = threading.Thread(target=self._run, name="keepface-jobs", daemon=True)
        self._worker.start()

    def submit(
        self, kind: Kind, work: Callable[[Progress], Any], people: Sequence[str] = (), tray: Path | None = None
    ) -> Job:
        """Put work into the queue; `people` are those of the library who may be in it.

        The folder `tray` belongs to the job from then on, and is deleted when it is over.

        Raises:
            QueueFullError: too much waits already.
        """
        with self._change:
            self.check_room()
            job = Job(kind, work, tuple(people), tray)
            self._jobs[job.key] = job
            self._change.notify_all()
            return job

    def check_room(self) -> None:
        """Refuse by a `QueueFullError` when no more work is taken."""
        with self._change:
            waiting = sum(not job.is_over for job in self._jobs.values())
            if waiting >= self._settings.queue or self._is_closed:
                raise QueueFullError(f"{waiting} jobs wait or run, and no more are taken; try again when one is done")

    def find(self, key: str) -> Job:
        """Return a job; a `NotThereError` when there is none of this key, or no longer."""
        with self._change:
            self._sweep()
            job = self._jobs.get(key)
        if job is None:
            raise NotThereError("there is no such job, or it was deleted or is older than results are kept")
        return job

    def all(self) -> tuple[Job, ...]:
        """Return all jobs, the oldest first."""
        with self._change:
            self._sweep()
            return tuple(self._jobs.values())

    def stop(self, key: str) -> None:
        """Stop a job: one that waits at once, one that runs at its next step; one that is over stays as it is."""
        with self._change:
            job = self.find(key)
            job.is_to_stop = not job.is_over
            if job.state == "waiting":
                self._end(job, "stopped")

    def remove(self, key: str) -> None:
        """Delete a job and what it made; one that runs is stopped first."""
        with self._change:
            job = self.find(key)
            self.stop(key)
            del self._jobs[key]
            is_over = job.is_over
        if is_over:  # else the worker does, when it comes to an end
            _discard(job.made)

    def forget(self, name: str) -> None:
        """Delete every job in which a person of the library is, or may be."""
        for job in self.all():
            shown = job.made.people if isinstance(job.made, Kept) else job.people
            if any(same_name(name, other) for other in shown):
                with contextlib.suppress(NotThereError):
                    self.remove(job.key)

    def wait(self, key: str, timeout_s: float = 60.0) -> Job:
        """Wait until a job is over, or for so long, and return it."""
        with self._change:
            job = self.find(key)
            self._change.wait_for(lambda: job.is_over, timeout_s)
        return job

    def close(self) -> None:
        """Stop everything and delete what was made."""
        with self._change:
            self._is_closed = True
            for key in tuple(self._jobs):
                with contextlib.suppress(NotThereError):
                    self.stop(key)
            self._change.notify_all()
        self._worker.join(FAREWELL_S)
        for job in self.all():
            with contextlib.suppress(NotThereError):
                self.remove(job.key)

    def _run(self) -> None:
        while True:
            with self._change:
                job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
                if job is None and self._is_closed:
                    return
                if job is None:
                    self._change.wait(SWEEP_S)
                    self._sweep()
                    if self._tidy is not None:
                        self._tidy()
                    continue
                job.state, job.started = "running", time.time()
                work = job.work
            if work is not None:
                self._do(job, work)
            del job, work  # a finished job's work holds photos

    def _do(self, job: Job, work: Callable[[Progress], Any]) -> None:
        progress, made, error = _Advance(job), None, None
        state: State = "done"
        try:
            progress(0, 0)
            made = work(progress)
        except Stopped as stopped:
            state, made = "stopped", stopped.made
        except MemoryError:
            state, error = "failed", "there is not enough memory for it; try a smaller photo"
        except Exception as failure:  # whatever it is, the next job goes on
            state, error = "failed", said(failure, self._hide)
        with self._change:
            job.made, job.error = made, error
            self._end(job, state)
            is_wanted = job.key in self._jobs
        if not is_wanted:
            _discard(made)
            job.made = None

    def _end(self, job: Job, state: State) -> None:
        job.state, job.work, job.ended = state, None, time.time()
        if job.tray is not None:
            shutil.rmtree(job.tray, ignore_errors=True)
        self._change.notify_all()

    def _sweep(self) -> None:
        """Delete what is too old, and the oldest of what takes too much memory, but never the newest."""
        over = sorted((job for job in self._jobs.values() if job.is_over), key=lambda job: job.ended or 0)
        oldest = time.time() - 60 * self._settings.keep_minutes
        room = self._settings.kept_mib * MIB
        taken = {job.key: job.made.nbytes if isinstance(job.made, Kept) else 0 for job in over}
        for job in over:
            is_heavy = sum(taken.values()) > room and taken[job.key] > 0 and job is not over[-1]
            if is_heavy or (job.ended or 0) < oldest:
                del self._jobs[job.key], taken[job.key]
                _discard(job.made)


def _discard(made: Any) -> None:
    if isinstance(made, Kept):
        with contextlib.suppress(OSError, KeepfaceError):
            made.discard()
