"""One of several processes that restore an album: it loads networks of its own, and makes something of each photo."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import cv2
import torch

from keepface.allocator import keep_freed_memory
from keepface.engine.batch import Batching, Item, Outcome, restore_each
from keepface.engine.matching import People
from keepface.engine.provenance import Options
from keepface.engine.references import References
from keepface.engine.result import Restoration
from keepface.engine.whole import PictureRestorer

Made = TypeVar("Made")
Load = Callable[[], tuple[PictureRestorer, References | People]]  # in each process; must be picklable


@dataclass(frozen=True)
class Task(Generic[Made]):
    """What a worker needs to know; all of it must be picklable."""

    load: Load
    options: Options
    batching: Batching
    make: Callable[[Item, Restoration], Made]
    threads: int  # of torch: pictures depend on it by what float rounding makes of it


class Worker(Generic[Made]):
    """The networks of one process; it sets how many threads torch and OpenCV have there, and keeps freed memory."""

    def __init__(self, task: Task[Made]) -> None:
        torch.set_num_threads(task.threads)
        cv2.setNumThreads(task.threads)
        keep_freed_memory()
        self._task = task
        self._restorer, self._references = task.load()

    def restore(self, numbered: Iterable[tuple[int, Item]]) -> Iterator[Outcome[Made]]:
        """Restore photos, taken a few at a time; outcomes have the numbers given, and come as they are done."""
        task = self._task
        numbers: list[int] = []

        def items() -> Iterator[Item]:
            for number, item in numbered:
                numbers.append(number)
                yield item

        for outcome in restore_each(self._restorer, items(), self._references, task.options, task.batching, task.make):
            yield replace(outcome, number=numbers[outcome.number])
