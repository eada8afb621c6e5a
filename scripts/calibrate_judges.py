"""Do the judges of `keepface bench --suite guided` tell what they are asked for? On clean photos and on inputs.

    python scripts/calibrate_judges.py DATA --size 256 --every 6

DATA is what `keepface bench --data` takes. Prints dlib's distances within a person and between people, and for the
inputs of each preset, and for another photo of the person, how far their landmarks are from the truth's by both rules.
"""

import argparse
import sys
from itertools import combinations
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.instruments import load_instruments
from keepface.bench.photos import damaged, open_photos
from keepface.bench.plan import plan
from keepface.bench.suite import SUITES
from keepface.errors import KeepfaceError, MissingExtraError
from keepface.identity.embed import square_face
from keepface.identity.second_judge import SAME_PERSON_BELOW
from keepface.metrics.sameness import landmark_distance, landmark_error
from keepface.metrics.table import Instruments

Square = Float[Tensor, "3 s s"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=256, help="px of the squares")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th person")
    given = parser.parse_args()
    photos, suite = open_photos(given.data), SUITES["guided"]
    targets = plan(photos.identities, photos.native_px)[:: given.every]
    instruments = load_instruments(("dlib distance",))
    pairs = [[photos.square(index, given.size) for index in (one.photo, one.others[0])] for one in targets]
    print(f"{len(targets)} people, {given.size} px")
    tell_identity(pairs, instruments)
    rows: dict[str, list[tuple[float, float, bool]]] = {}
    for target, (truth, other) in zip(targets, pairs, strict=True):
        lows = {name: damaged(truth, name, target.person, 0, suite.damage_px).low for name in suite.presets}
        for name, picture in {**lows, "another photo": other}.items():
            rows.setdefault(name, []).append(landmarks(picture, truth, instruments))
    print("\n| | landmark distance | no face found | landmark error |\n|---|---:|---:|---:|")
    for name, values in rows.items():
        apart, error, missing = (fmean(column) for column in zip(*values, strict=True))
        print(f"| {name} | {apart:.1f} | {missing:.2f} | {error:.1f} |")


def tell_identity(pairs: list[list[Square]], instruments: Instruments) -> None:
    """Print dlib's distances within a person and between people."""
    judge = instruments.second_judge
    if judge is None:
        raise MissingExtraError(instruments.missing["dlib distance"])
    found = [[judge.describe(one, square_face(one, instruments.detector).face) for one in pair] for pair in pairs]
    same = torch.stack([(first - second).norm() for first, second in found])
    other = torch.stack([(one[0] - two[1]).norm() for one, two in combinations(found, 2)])
    for name, values in (("one person", same), ("two people", other)):
        share = float((values < SAME_PERSON_BELOW).float().mean())
        print(f"dlib distance, {name}: {float(values.mean()):.3f}, below {SAME_PERSON_BELOW}: {100 * share:.1f} %")


def landmarks(picture: Square, truth: Square, instruments: Instruments) -> tuple[float, float, bool]:
    """Return both rules' values, and whether a face had to be supposed."""
    apart = landmark_distance(picture, truth, instruments.detector)
    return apart.value, landmark_error(picture, truth, instruments.detector).value, apart.is_flagged


if __name__ == "__main__":
    try:
        main()
    except KeepfaceError as error:
        sys.exit(f"error: {error}")
