"""Seconds a face of the method guided, part by part, beside FaceMe; prints a Markdown table.

    python benchmarks/guided.py --repeats 5

Squares are drawn: the networks take the same time whatever they show. The median of the repeats is told.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.faces.align import template_face
from keepface.identity.embed import IdentityFeatures
from keepface.methods.guided.guided import Guided
from keepface.methods.method import ReferenceSet


def main() -> None:
    """Read the arguments, time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    method = Guided.load(device=torch.device(given.device))
    low = torch.rand(1, 3, method.size, method.size)

    def drawn_set(count: int) -> ReferenceSet:
        features = tuple(drawn(seed) for seed in range(count))
        return ReferenceSet(features, (1.0,) * count)

    print("| what | seconds |\n|---|---:|")
    for count in (0, 1, 2, 4, 8):
        references = drawn_set(count)
        told(
            f"guided, {method.size} px, {count} references at hand",
            lambda r=references: method.restore_squares(low, [r]),
            given.repeats,
        )
    told(
        "the same, 4 references seen for the first time",
        lambda: method.restore_squares(low, [drawn_set(4)]),
        given.repeats,
    )
    four = drawn_set(4)
    told("the same, 4 at hand, a face of 600 px", lambda: method.restore_large(low[0], four, 600), given.repeats)
    faceme = Restorer.from_pretrained(method="faceme", device=given.device)
    square = torch.rand(1, 3, faceme.size, faceme.size)
    who = [faceme.embedder.embed_square(torch.rand(3, 128, 128))]
    told(
        f"faceme, {faceme.size} px, 1 reference at hand",
        lambda: faceme.restore_squares(square, [who], RestoreSettings(), [0]),
        given.repeats,
    )


def drawn(seed: int) -> IdentityFeatures:
    """Return features that hold a square of noise."""
    square = torch.randint(0, 256, (3, 512, 512), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return IdentityFeatures(torch.ones(1), torch.ones(1), template_face(512), {}, None, square)


def told(what: str, run: Callable[[], object], repeats: int) -> None:
    """Run once unmeasured, then so many times, and print the median."""
    run()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    print(f"| {what} | {statistics.median(seconds):.3f} |")


if __name__ == "__main__":
    main()
