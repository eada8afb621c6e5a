"""Measure how alike photos of one person are, and of two, when one of them is degraded: the data behind the receipts.

    python scripts/calibrate_identity.py measure DATA faces.npz --leave-out ALBUM/people
    python scripts/calibrate_identity.py measure DATA strangers.npz --split train-lfw-00 --strangers 400
    python scripts/calibrate_identity.py fit faces.npz --strangers strangers.npz

DATA holds validation shards (val-*.parquet). Of each person up to six photos are degraded, each in four of `KINDS`,
searched for their face and embedded by both recognisers; compared with them are the person's other photos, clean.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.data.shards import Row, read_all, read_shards
from keepface.degrade.chains import PRESETS, draw, replay
from keepface.degrade.drawn import Step
from keepface.engine.calibration import MOST_CLARITY
from keepface.engine.likeness import clarity
from keepface.errors import KeepfaceError
from keepface.faces.detect import Detector
from keepface.faces.face import Face
from keepface.identity.recogniser import RECOGNISERS
from keepface.seeds import numpy_generator

PHOTOS = 6  # a person, at most
REFERENCES = 4  # that a face is compared with, at most
FOLDS = 5  # of people, each left out once
Table = dict[str, np.ndarray]
SCALES = (1.0, 0.75, 0.6, 0.5)  # of the photo's side, before it is degraded
PLAIN = "clean"
KINDS = (PLAIN, "jpeg", "light", "medium", "heavy", "pf-light", "pf-heavy", "pfstorer")
NEAR = 0.25  # of the side: how far the face found may be from where it is


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("data", type=Path)
    measuring.add_argument("table", type=Path, help="file to write, .npz")
    measuring.add_argument("--split", default="val-lfw")
    measuring.add_argument("--leave-out", type=Path, help="folder with a folder of each person not to measure")
    measuring.add_argument("--strangers", type=int, default=0, help="measure so many people, a photo each, instead")
    fitting = commands.add_parser("fit")
    fitting.add_argument("table", type=Path)
    fitting.add_argument("--strangers", type=Path, help="table of people who must be found to be nobody")
    given = parser.parse_args()
    if given.command == "fit":
        say(dict(np.load(given.table)), dict(np.load(given.strangers)) if given.strangers else None)
        return
    left_out = {path.name for path in given.leave_out.iterdir()} if given.leave_out else set()
    rows, _ = read_all(read_shards(given.data, given.split))
    rows = [row for row in rows if row.identity not in left_out]
    table = measure(*(strangers(rows, given.strangers) if given.strangers else people(rows)))
    np.savez(given.table, **table)


def say(table: Table, others: Table | None) -> None:
    """Print floors, curves and how well they hold, as docs/receipts.md shows them."""
    tried = table["tried"]
    print("| kind | faces found |\n|---|---|")
    for kind in KINDS:
        print(f"| {kind} | {(table['kind'] == kind).sum()} of {(tried == kind).sum()} |")
    for name in RECOGNISERS:
        print(f"\n{name}: highest cosine of a face to another person's references")
        for count in range(1, REFERENCES + 1):
            alike = impostors(table, name, count)
            thousandth, tenth = (np.sort(alike)[-(len(alike) // part)] for part in (1_000, 10_000))
            print(f"| {count} | {len(alike)} | {thousandth:.3f} | {tenth:.3f} | {alike.max():.3f} |")
        if others is not None:
            print(f"of strangers: {impostors(table, name, REFERENCES, others).max():.3f}")
        cosines, same, clear, person = pairs(table, name)
        fold = person % FOLDS
        held = np.zeros(len(cosines))
        for number in range(FOLDS):
            curve = fit(cosines[fold != number], clear[fold != number], same[fold != number])
            held[fold == number] = chances(curve, cosines[fold == number], clear[fold == number])
        print(f"curve {np.round(fit(cosines, clear, same), 2).tolist()}; of people left out:")
        share = weights(same)
        for low in np.arange(0, 1, 0.1):
            chosen = (held >= low) & (held < low + 0.1 + 1e-9)
            said, true = (np.average(column[chosen], weights=share[chosen]) for column in (held, same))
            print(
                f"| {low:.1f}-{low + 0.1:.1f} | {said:.2f} | {true:.2f} | {int(same[chosen].sum())} | {chosen.sum()} |"
            )
        for limit in (0.05, 0.2):
            print(f"below {limit}: {(held[same] < limit).mean():.4f} of true pairs, {(held[~same] < limit).mean():.3f}")


def impostors(table: Table, name: str, count: int, probes: Table | None = None) -> np.ndarray:
    """Return mean cosines of faces to `count` references of others: three draws a person."""
    rng, found = np.random.default_rng(0), []
    probes = table if probes is None else probes
    cosines = probes[name] @ table[f"{name}_reference"].T
    for person in np.unique(table["of"]):
        columns = np.flatnonzero(table["of"] == person)
        if len(columns) >= count:
            rows = cosines[probes["person"] != person]
            found += [rows[:, rng.permutation(columns)[:count]].mean(1) for _ in range(3)]
    return np.concatenate(found)


def pairs(table: Table, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each face's mean cosine to each person's references but itself, whether it is them, clarity and person."""
    cosines = table[name] @ table[f"{name}_reference"].T
    own = table["photo"][:, None] == table["photo_reference"][None]
    everybody = np.unique(table["of"])
    means = []
    for person in everybody:
        columns = np.flatnonzero(table["of"] == person)
        usable = ~own[:, columns] & (np.cumsum(~own[:, columns], axis=1) <= REFERENCES)
        means.append((cosines[:, columns] * usable).sum(1) / usable.sum(1))
    number = np.searchsorted(everybody, table["person"])
    same = number[:, None] == np.arange(len(everybody))[None]
    shape = same.shape
    clear = np.broadcast_to(np.minimum(table["clarity"], MOST_CLARITY)[:, None], shape)
    return np.stack(means, 1).ravel(), same.ravel(), clear.ravel(), np.broadcast_to(number[:, None], shape).ravel()


def weights(same: np.ndarray) -> np.ndarray:
    """Weigh pairs so that half of them show one person."""
    return np.where(same, 0.5 / same.mean(), 0.5 / (1 - same.mean()))


def fit(cosines: np.ndarray, clear: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Fit the curve by Newton's method. [Platt]"""
    design = np.stack([np.ones_like(cosines), cosines, clear, cosines * clear], 1)
    share, curve = weights(same), np.zeros(4)
    for _ in range(30):
        chance = 1 / (1 + np.exp(-design @ curve))
        slope = design.T @ (share * (same - chance))
        curve += np.linalg.solve((design * (share * chance * (1 - chance))[:, None]).T @ design, slope)
    return curve


def chances(curve: np.ndarray, cosines: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Return the probabilities of a curve."""
    return 1 / (1 + np.exp(-(curve[0] + curve[1] * cosines + curve[2] * clear + curve[3] * cosines * clear)))


def people(rows: list[Row]) -> tuple[list[tuple[Row, str]], list[Row]]:
    """Return what is degraded, with its kind, and the references."""
    by_person: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_person[row.identity].append(row)
    kept = [row for photos in by_person.values() if len(photos) >= 3 for row in photos[:PHOTOS]]
    kinds = [[KINDS[(number + step) % len(KINDS)] for step in (0, 1, 3, 6)] for number in range(len(kept))]
    return [(row, kind) for row, chosen in zip(kept, kinds, strict=True) for kind in chosen], kept


def strangers(rows: list[Row], count: int) -> tuple[list[tuple[Row, str]], list[Row]]:
    """Return one photo each of so many people, each degraded in one kind; they have no references."""
    first = list({row.identity: row for row in reversed(rows)}.values())
    chosen = [first[index] for index in np.random.default_rng(0).permutation(len(first))[:count]]
    return [(row, KINDS[number % len(KINDS)]) for number, row in enumerate(chosen)], []


def measure(probes: list[tuple[Row, str]], references: list[Row]) -> Table:
    """Embed faces, as `keepface restore` would see them, and references."""
    detector, recognisers = Detector(), {name: make() for name, make in RECOGNISERS.items()}
    table: dict[str, list[object]] = defaultdict(list)
    for number, (row, kind) in enumerate(probes):
        pixels = degraded(row, kind, number)
        face = find(detector, pixels)
        table["tried"].append(kind)
        if face is None:
            continue
        table["person"].append(row.identity)
        table["photo"].append(id(row))
        table["kind"].append(kind)
        table["width"].append(face.width)
        table["score"].append(face.score)
        table["clarity"].append(clarity(pixels, face))
        for name, recogniser in recognisers.items():
            table[name].append(recogniser.embed(pixels, face).numpy())
        if number % 100 == 0:
            print(f"{number} of {len(probes)}", file=sys.stderr, flush=True)
    for row in references:
        face = find(detector, row.image)
        if face is not None:
            table["of"].append(row.identity)
            table["photo_reference"].append(id(row))
            for name, recogniser in recognisers.items():
                table[f"{name}_reference"].append(recogniser.embed(row.image, face).numpy())
    return {name: np.array(values) for name, values in table.items()} | ({} if references else {"of": np.array([])})


def degraded(row: Row, kind: str, number: int) -> Float[Tensor, "3 h w"]:
    """Degrade one crop by a draw that depends on its number alone."""
    if kind == PLAIN:
        return row.image
    rng = numpy_generator(0, "identity", kind, number)
    side = int(row.image.shape[1] * rng.choice(SCALES))
    small = [Step("resize area", {"height": side, "width": side})]
    steps = [Step("jpeg", {"quality": 75})] if kind == "jpeg" else draw(PRESETS[kind], rng, side)
    return replay([*small, *steps], row.image)


def find(detector: Detector, pixels: Float[Tensor, "3 h w"]) -> Face | None:
    """Return the face in the crop's middle, if it is found."""
    side = pixels.shape[2]
    near = [
        face
        for face in detector.detect(pixels)
        if np.hypot(face.centre[0] - side / 2, face.centre[1] - side / 2) < NEAR * side
    ]
    return max(near, key=lambda face: face.score, default=None)


if __name__ == "__main__":
    try:
        main()
    except KeepfaceError as error:
        sys.exit(f"error: {error}")
