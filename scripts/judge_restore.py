"""Restore degraded validation squares as `keepface restore` does, verdicts and all, and judge what comes out.

python scripts/judge_restore.py packs/val --preset light --limit 40

Prints a line for the photo and for what is made of it, their differences with 95 % bootstrap intervals over people, and
how often each verdict was given. A square is the first photo of a person with two; up to four others lead it.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from keepface.bench.photos import degraded
from keepface.bench.plan import Target, plan
from keepface.data.prepare import Pack
from keepface.degrade.chains import PRESETS
from keepface.engine.photo import restore_photo
from keepface.engine.references import Reference, References
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.identity.embed import SAME_PERSON, IdentityFeatures, square_face
from keepface.image.files import Photo, from_uint8
from keepface.metrics.table import METRICS, Instruments
from keepface.seeds import derive

NAMES = ("identity similarity", "effnet distance", "psnr")


def main() -> None:
    """Read the arguments, restore, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, help="prepared validation pack")
    parser.add_argument("--family", default="compact")
    parser.add_argument("--preset", default="light", choices=sorted(PRESETS))
    parser.add_argument("--limit", type=int, default=40, help="people")
    given = parser.parse_args()
    pack, restorer, instruments = Pack(given.pack), Restorer.from_pretrained(given.family), Instruments.load()
    rows, verdicts = [], Counter()
    for target in plan(pack.identities, pack.native_px)[: given.limit]:
        clean = from_uint8(pack.square(target.photo))
        low = degraded(clean, given.preset, target.person, 0)
        made = restore_photo(
            restorer, Photo(low), references(restorer, pack, target), RestoreSettings(), derive(0, target.person), True
        )
        verdicts[made.faces[0].outcome] += 1
        pair = (low, made.image.pixels)
        rows.append([[METRICS[name].function(picture, clean, instruments).value for name in NAMES] for picture in pair])
    report(np.array(rows), verdicts)


def references(restorer: Restorer, pack: Pack, target: Target) -> References:
    """Take up to four other photos of the person from the pack, with the features that it holds."""
    kept = []
    for photo in target.references[:4]:
        square = from_uint8(pack.square(photo))
        face = square_face(square, restorer.embedder.detector).face
        vectors = (pack.features[name][0, photo] for name in ("recogniser", "image"))
        features = IdentityFeatures(*vectors, face, {"recogniser": restorer.embedder.recogniser.name})
        kept.append(Reference(str(photo), features, restorer.judge.embed(square, face), 1.0))
    return References(tuple(kept))


def report(rows: np.ndarray, verdicts: Counter[str]) -> None:
    """Print the table of people x (photo, restored) x metrics."""
    floor = SAME_PERSON["facenet"]
    for side, name in enumerate(("photo", "restored")):
        values = ", ".join(f"{metric} {rows[:, side, k].mean():.3f}" for k, metric in enumerate(NAMES))
        print(f"{name}: {values}; {(rows[:, side, 0] >= floor).mean():.0%} pass for their person ({floor})")
    difference = rows[:, 1] - rows[:, 0]
    drawn = np.random.default_rng(0).integers(len(rows), size=(10_000, len(rows)))
    low, high = np.percentile(difference[drawn].mean(1), [2.5, 97.5], axis=0)
    for k, metric in enumerate(NAMES):
        print(f"{metric}: {difference[:, k].mean():+.3f} [{low[k]:+.3f}, {high[k]:+.3f}], n = {len(rows)}")
    print(", ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common()))


if __name__ == "__main__":
    main()
