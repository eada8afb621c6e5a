"""Measure how bad a preset makes a face: the input row of `keepface bench`, without restoring anything.

    python scripts/calibrate_presets.py DATA --preset pf-light --preset pf-heavy

DATA is what `keepface bench --data` takes: a prepared pack, validation shards, or a folder with a folder of photos a
person. Draws are those of the bench with the same seed, so its input rows show the same values.
"""

import argparse
import math
import statistics
import sys
from pathlib import Path

from keepface.bench.instruments import load_instruments
from keepface.bench.photos import degraded, open_photos
from keepface.bench.plan import plan
from keepface.degrade.chains import PRESETS
from keepface.errors import KeepfaceError
from keepface.metrics.table import METRICS

MEASURED = ("psnr", "ssim", "effnet distance", "identity similarity")


def main() -> None:
    """Print a line a preset: means over the people, and standard deviations; PSNR without pictures left clean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", action="append", choices=list(PRESETS), help="may be given more than once")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--size", type=int, default=128, help="px of the squares")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    photos = open_photos(given.data)
    targets = plan(photos.identities, photos.native_px, given.people)
    instruments = load_instruments(MEASURED)
    print(f"{len(targets)} people, {given.size} px, seed {given.seed}; mean (standard deviation)")
    print(f"| preset | {' | '.join(MEASURED)} |\n|---|{'---|' * len(MEASURED)}")
    for preset in given.preset or list(PRESETS):
        values: dict[str, list[float]] = {name: [] for name in MEASURED}
        for target in targets:
            truth = photos.square(target.photo, given.size)
            low = degraded(truth, preset, target.person, given.seed)
            for name in MEASURED:
                values[name].append(METRICS[name].function(low, truth, instruments).value)
        finite = ([value for value in column if math.isfinite(value)] for column in values.values())
        cells = (f"{statistics.fmean(column):.3f} ({statistics.pstdev(column):.3f})" for column in finite)
        print(f"| {preset} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeepfaceError as error:
        sys.exit(f"error: {error}")
