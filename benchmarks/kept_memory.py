"""What keeping freed memory saves: seconds and page faults a face, with and without; prints a Markdown table.

    python benchmarks/kept_memory.py --batch 1 4 16

Both are measured in turn, each in a process of its own, because it can not be taken back. The C library must be glibc.
"""

import argparse
import resource
import time
from multiprocessing import get_context

import torch

from keepface.allocator import keep_freed_memory
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings

Measured = tuple[float, float]  # seconds and page faults, of one face


def measure(family: str, method: str, batch: int, repeats: int, is_kept: bool) -> list[Measured]:
    """Restore a batch of grey squares without references, again and again; the first time is not counted."""
    if is_kept and not keep_freed_memory():
        raise SystemExit("this C library can't be asked to keep memory")
    restorer = Restorer.from_pretrained(family, method, "cpu")
    low = torch.full((batch, 3, restorer.size, restorer.size), 0.5)
    found = []
    for _ in range(repeats + 1):
        faults, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        restorer.restore_squares(low, [[]] * batch, RestoreSettings(), list(range(batch)))
        seconds, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        found.append((seconds / batch, (now - faults) / batch))
    return found[1:]


def main() -> None:
    """Read the arguments, measure in turn, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16], help="faces at once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2, help="turns of both, against a machine that changes its pace")
    parser.add_argument("--family", default="compact")
    parser.add_argument("--method", default="faceme")
    given = parser.parse_args()
    print("| faces at once | memory | s a face | page faults a face |\n|---:|---|---:|---:|")
    for batch in given.batch:
        found: dict[bool, list[Measured]] = {False: [], True: []}
        for _ in range(given.rounds):
            for is_kept in found:
                with get_context("spawn").Pool(1) as pool:
                    told = (given.family, given.method, batch, given.repeats, is_kept)
                    found[is_kept] += pool.apply(measure, told)
        for is_kept, values in found.items():
            seconds, faults = (sorted(part)[len(part) // 2] for part in zip(*values, strict=True))
            print(f"| {batch} | {'kept' if is_kept else 'given back'} | {seconds:.2f} | {faults:.0f} |", flush=True)


if __name__ == "__main__":
    main()
