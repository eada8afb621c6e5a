"""The same album on Ray Data: actors that hold the networks, paths in and small rows out, pictures never on the way.

An actor reads, restores and writes aside; who asked gives files their names and enters them in the manifest, as on one
machine. Needs the extra `ray`, and folders that every machine of the cluster sees under the same path.
"""

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepface.engine.album import Keep, Kept, Studio
from keepface.engine.batch import Item, Outcome
from keepface.engine.provenance import OfFamily
from keepface.engine.worker import Load, Task, Worker
from keepface.errors import MissingExtraError

BLOCK = 8  # ours: batches in a block: what an actor is given at once, and what is lost when it dies


class Actor:
    """One process with the networks loaded, and whoever leads: it finds out itself, so that no features are sent."""

    def __init__(self, task: Task[Kept]) -> None:
        self._worker = Worker(task)

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        """Restore the photos of a block, and return their outcomes, each in a few bytes."""
        items = [Item(Path(os.fsdecode(one)), Path(os.fsdecode(two))) for one, two in _pairs(block)]
        numbers = [int(number) for number in block["number"]]
        done = self._worker.restore(zip(numbers, items, strict=True))
        return {"outcome": [pickle.dumps(outcome) for outcome in done]}


@dataclass(frozen=True)
class OnRay:
    """Restore items on a cluster: the one named by RAY_ADDRESS, or one made on this machine for this call.

    load: makes restorer and references in each actor; they must be those of the studio.
    actors: processes; each takes a GPU if the networks run on one, or else one core.
    threads: of torch in each; pictures depend on it by what float rounding makes of it.
    """

    load: Load
    actors: int = 2
    threads: int = 1

    def __call__(self, items: Sequence[Item], studio: Studio, keep: Keep) -> Iterator[Outcome[Kept]]:
        """Restore items; outcomes come as they are done.

        Raises:
            MissingExtraError: Ray is not installed.
        """
        ray = _ray()
        task = Task(self.load, studio.options, studio.batching, keep, self.threads)
        begun_here = not ray.is_initialized()
        if begun_here:
            _begin(ray, self.actors)
        try:
            rows = [
                {"number": number, "source": os.fsencode(item.source), "output": os.fsencode(item.output)}
                for number, item in enumerate(items)
            ]
            block = min(studio.batching.squares * BLOCK, -(-len(rows) // self.actors))
            method = studio.restorer.method
            on_gpu = isinstance(method, OfFamily) and method.family.device.type == "cuda"
            done = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // block)).map_batches(
                Actor,
                fn_constructor_args=(task,),
                batch_size=None,  # a block as it is
                batch_format="numpy",
                zero_copy_batch=True,
                # one block at a time each: the first actor to be ready would take all that are waiting
                compute=ray.data.ActorPoolStrategy(size=min(self.actors, len(rows)), max_tasks_in_flight_per_actor=1),
                num_cpus=0 if on_gpu else 1,
                num_gpus=1 if on_gpu else 0,
            )
            for row in done.iter_rows():
                yield pickle.loads(row["outcome"])  # of our own actors
        finally:
            if begun_here:
                ray.shutdown()


def _pairs(block: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for source, output in zip(block["source"], block["output"], strict=True):
        yield bytes(source), bytes(output)


def _ray() -> Any:
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("--engine ray needs Ray: pip install 'keepface[ray]'") from None
    return ray


def _begin(ray: Any, actors: int) -> None:
    """Join the cluster that RAY_ADDRESS names, or begin one of as many cores as there are actors, quietly."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not os.environ.get("RAY_ADDRESS"):
        quiet |= {"num_cpus": actors + 1, "include_dashboard": False}
    ray.init(**quiet)
