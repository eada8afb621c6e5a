"""Quality against sampling steps: each number of steps on the same people, photos and noise; prints a Markdown table.

    python benchmarks/steps.py packs/val --preset medium --steps 20 8 4 2 1

Validation people, one photo each, led by one other photo; PFStorer, which learns people instead, restores for nobody.
Differences are paired, with 95 % bootstrap intervals, against the first number of steps.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.photos import degraded
from keepface.bench.plan import Target, plan
from keepface.data.prepare import Pack
from keepface.degrade.chains import PRESETS
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.identity.embed import IdentityEmbedder, IdentityFeatures
from keepface.image.files import from_uint8
from keepface.methods.method import Personal
from keepface.metrics.statistics import mean_beside
from keepface.metrics.table import METRICS, Instruments
from keepface.seeds import derive

NAMES = ("identity similarity", "effnet distance", "psnr")
BATCH = 16


@dataclass(frozen=True, eq=False)
class Task:
    """What is restored: the truth, the low squares, who leads each, and their seeds."""

    clean: Float[Tensor, "n 3 s s"]
    low: Float[Tensor, "n 3 s s"]
    led_by: list[list[IdentityFeatures]]
    seeds: list[int]

    @classmethod
    def of(cls, pack: Pack, targets: Sequence[Target], preset: str, embedder: IdentityEmbedder | None) -> "Task":
        """Degrade each target as `keepface bench` does, and take its first reference, where one leads."""
        clean = torch.stack([from_uint8(pack.square(target.photo)) for target in targets])
        shown = zip(clean, targets, strict=True)
        low = torch.stack([degraded(square, preset, target.person, 0) for square, target in shown])
        seeds = [derive(0, "steps", target.person) for target in targets]
        others = [from_uint8(pack.square(target.references[0])) for target in targets]
        led_by = [[embedder.embed_square(other)] if embedder else [] for other in others]
        return cls(clean, low, led_by, seeds)

    def restored(self, restorer: Restorer, steps: int) -> Float[Tensor, "n 3 s s"]:
        """Restore all, a batch at a time."""
        parts, settings = [], RestoreSettings(steps=steps)
        for begin in range(0, len(self.low), BATCH):
            part = slice(begin, begin + BATCH)
            parts.append(restorer.restore_squares(self.low[part], self.led_by[part], settings, self.seeds[part]))
        return torch.cat(parts)


def main() -> None:
    """Read the arguments, restore, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, help="prepared validation pack")
    parser.add_argument("--family", default="compact")
    parser.add_argument("--method", default="faceme")
    parser.add_argument("--preset", default="medium", choices=sorted(PRESETS))
    parser.add_argument("--limit", type=int, help="people; all, if it is left out")
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 8, 4, 2, 1])
    parser.add_argument("--device")
    given = parser.parse_args()
    pack, instruments = Pack(given.pack), Instruments.load()
    restorer = Restorer.from_pretrained(given.family, given.method, given.device)
    embedder = None if isinstance(restorer.method, Personal) else restorer.embedder
    task = Task.of(pack, plan(pack.identities, pack.native_px)[: given.limit], given.preset, embedder)
    led = "one reference each" if embedder else "without references"
    print(f"{given.method}, {given.preset}, n = {len(task.low)}, {led}\n")
    print(f"| steps | {' | '.join(NAMES)} | s a face |\n|---:|{'---|' * len(NAMES)}---:|")
    first: list[list[float]] = []
    for steps in given.steps:
        started = time.perf_counter()
        made = task.restored(restorer, steps)
        seconds = (time.perf_counter() - started) / len(made)
        pairs = list(zip(made, task.clean, strict=True))
        values = [[METRICS[name].function(*pair, instruments).value for pair in pairs] for name in NAMES]
        cells = [mean_beside(*both) for both in zip(values, first or [None] * len(NAMES), strict=True)]
        first = first or values
        print(f"| {steps} | {' | '.join(cells)} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
