"""An album in several processes of this machine, each with networks of its own and a share of the cores.

Threads that pass faces through the networks together wait for each other; two processes of one thread each do more
than one of two threads, once they have begun (docs/batch.md). This process is one of them, and begins while the others
load. Photos are handed out one by one, so that no process has nothing to do while another has a row of them.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Generic, TypeVar

import cv2
import torch

from keepface.engine.album import Keep, Kept, Studio, restore_here
from keepface.engine.batch import Item, Outcome, is_batched
from keepface.engine.matching import People
from keepface.engine.provenance import OfFamily, Options
from keepface.engine.references import References
from keepface.engine.whole import PictureRestorer
from keepface.engine.worker import Task, Worker
from keepface.errors import KeepfaceError
from keepface.standby import FEWEST_PHOTOS, Start

MOST_PROCESSES = 4  # ours
RUNTIME = 2**30  # ours: bytes that a process needs besides its networks
NETWORKS = 4  # ours: all that is loaded, in sizes of the UNet
LOST = 60.0  # ours: seconds after which a process that keeps the others waiting is taken for dead

Made = TypeVar("Made")
Networks = Callable[[], PictureRestorer]  # loads them in each process; must be picklable


def processes_for(photos: int, restorer: PictureRestorer, options: Options) -> int:
    """Return how many processes an album of so many photos pays for: one for each core of a CPU, and one with a GPU.

    Together they are to need no more than half of this machine's memory. Photos that share no batches are left to one.
    """
    method = restorer.method
    if photos < FEWEST_PHOTOS or not isinstance(method, OfFamily) or method.family.device.type != "cpu":
        return 1
    if not is_batched(restorer, options):
        return 1
    unet = sum(value.numel() * value.element_size() for value in method.family.unet.parameters())
    held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 * 2**30
    return max(1, min(MOST_PROCESSES, torch.get_num_threads(), held // 2 // (RUNTIME + NETWORKS * unet)))


@dataclass(frozen=True)
class InProcesses:
    """Restore the items of an album in so many processes, this one among them.

    networks: loads in each of the others what the studio has here.
    threads: of torch in each; pictures depend on it by what float rounding makes of it.
    start: how the others are started; see `keepface.standby.import_ahead`.
    """

    networks: Networks
    processes: int
    threads: int
    start: Start = "spawn"

    def __call__(self, items: Sequence[Item], studio: Studio, keep: Keep) -> Iterator[Outcome[Kept]]:
        """Restore items; outcomes come as they are done.

        Raises:
            KeepfaceError: a process ended before its work was done.
        """
        processes = min(self.processes, len(items))
        batching = replace(studio.batching, workers=max(1, studio.batching.workers // processes))
        with _threads(self.threads):
            if processes <= 1:
                yield from restore_here(items, studio, keep)
                return
            load = _Loaded(self.networks, studio.references)
            task = Task(load, studio.options, batching, keep, self.threads)
            here = Worker(replace(task, load=lambda: (studio.restorer, studio.references)))
            missing = len(items)
            with _begun(task, items, processes - 1, self.start) as (counter, others):
                for outcome in _by_all(here.restore(_shared_out(items, counter)), others):
                    yield outcome
                    missing -= 1
                    if not missing:
                        return  # and nobody waits for a process that has just begun
                raise others.trouble or KeepfaceError("photos were lost between processes")


def _by_all(own: Iterator[Outcome[Made]], others: "_Others[Made]") -> Iterator[Outcome[Made]]:
    """Give what is done here and by the others, as it comes, until nobody is at work."""
    for outcome in own:
        yield outcome
        yield from others.told(0.0)
    while others.at_work:
        yield from others.told(None)


@dataclass(frozen=True)
class _Loaded:
    """Networks that are loaded in each process, and whoever leads, as known here: it stays on this machine."""

    networks: Networks
    references: References | People

    def __call__(self) -> tuple[PictureRestorer, References | People]:
        return self.networks(), self.references


class _Others(Generic[Made]):
    """The other processes, each with the pipe that its outcomes come through."""

    def __init__(self) -> None:
        self.at_work: dict[Connection, BaseProcess] = {}
        self.trouble: KeepfaceError | None = None  # of one that ended before its work was done; the others go on

    def told(self, timeout: float | None) -> Iterator[Outcome[Made]]:
        """Give what has come, waiting for so many seconds, or for ever, if nothing has."""
        for pipe in connection.wait(list(self.at_work), timeout):
            assert isinstance(pipe, Connection)
            try:
                said: Outcome[Made] | KeepfaceError | None = pickle.loads(pipe.recv_bytes())  # of our own process
            except EOFError:
                said = self._ended(self.at_work[pipe])
            if isinstance(said, Outcome):
                yield said
            else:
                self.trouble = self.trouble or said
                self.at_work.pop(pipe).join()

    def _ended(self, process: BaseProcess) -> KeepfaceError:
        process.join()
        return KeepfaceError(
            f"one of the processes that restore was ended from outside (status {process.exitcode}), perhaps for want "
            "of memory; what is done is kept: call again, with --processes 1"
        )


@contextmanager
def _begun(
    task: Task[Made], items: Sequence[Item], count: int, start: Start
) -> Iterator[tuple["Synchronized[int]", _Others[Made]]]:
    """Begin processes, and end them whatever happens; give the counter by which they share photos, and them."""
    context: Any = get_context(start)  # of either kind
    counter = context.Value("q", 0)
    packed, others = pickle.dumps((task, tuple(items))), _Others[Made]()
    with ExitStack() as ends:
        for _ in range(count):
            pipe, their_end = context.Pipe(duplex=False)
            ends.callback(pipe.close)
            process = context.Process(target=_work, args=(packed, counter, their_end), daemon=True)
            process.start()
            ends.callback(process.join)
            ends.callback(process.terminate)
            their_end.close()  # so that its end is seen here when the process has none
            others.at_work[pipe] = process
        yield counter, others


def _shared_out(items: Sequence[Item], counter: "Synchronized[int]") -> Iterator[tuple[int, Item]]:
    """Take the next photo that nobody has, until there are none."""
    lock = counter.get_lock()
    while True:
        if not lock.acquire(timeout=LOST):
            raise KeepfaceError("a process that restores was ended from outside, at a bad moment; call again")
        try:
            number = counter.value
            counter.value = number + 1
        finally:
            lock.release()
        if number >= len(items):
            return
        yield number, items[number]


def _work(packed: bytes, counter: "Synchronized[int]", pipe: Connection) -> None:
    """Be one of the other processes: say each outcome as it is done, then nothing, or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked is told, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    said: KeepfaceError | None = None
    try:
        task, items = pickle.loads(packed)
        for outcome in Worker(task).restore(_shared_out(items, counter)):
            pipe.send_bytes(pickle.dumps(outcome))  # as bytes: tensors go otherwise through shared memory
    except KeepfaceError as error:
        said = error
    pipe.send_bytes(pickle.dumps(said))


def _end_with_parent() -> None:
    """End this process when the one that began it is gone, killed perhaps."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and then with as many as before."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
