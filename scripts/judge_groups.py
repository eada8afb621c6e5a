"""Is any group of people served worse? Splits a report of `keepface bench --suite compact` by what can be measured.

python scripts/judge_groups.py report/ packs/val --preset medium --preset heavy

PACK is what the report was measured on. The photo that was restored says the group: how far the face is turned (the
nose's place between the eyes, as of their distance), the skin's lightness (ITA of both cheeks, in degrees: Chardon et
al. 1991; photos are not calibrated, so that light counts as skin), real detail, colour, and the collection. Differences
are paired, with 95 % bootstrap intervals over the group's people. Age, sex and glasses nobody has noted, so they are
not in it.
"""

import argparse
import csv
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from keepface.bench.plan import plan, pose_and_mouth
from keepface.data.prepare import Pack
from keepface.errors import DataError, KeepfaceError
from keepface.metrics.statistics import paired_bootstrap

INPUT, BLIND, LED = "input", "no references", "1 reference"
JUDGED = ("identity similarity", "effnet distance")
TURNED = 0.12  # as of the eyes' distance; from there on one ear is mostly hidden
CHEEK = 0.1  # half the side of a cheek's patch, as of the eyes' distance
GREY = 4.0  # mean difference of the colour channels in levels of 255, below which a photo is grey
FINE_PX = 200  # real detail of an FFHQ square

Values = dict[tuple[str, str], dict[str, float]]  # (row, person) -> metric -> value


@dataclass(frozen=True)
class Group:
    """People whose photos have something in common."""

    kind: str
    name: str
    people: tuple[str, ...]


def main() -> None:
    """Print a table a preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="folder that keepface bench wrote")
    parser.add_argument("pack", type=Path, help="prepared pack that it was measured on")
    parser.add_argument("--preset", action="append", dest="presets")
    parser.add_argument("--row", default=LED, help="led row that is judged, such as 'FaceMe, 1 reference'")
    parser.add_argument("--blind", default=BLIND, help="row without references, such as 'FaceMe, no references'")
    given = parser.parse_args()
    pack = Pack(given.pack)
    found = list(groups(pack))
    for preset in given.presets or ["medium", "heavy"]:
        values = read(given.report / "results.csv", preset)
        print(f"\n`{preset}`, {given.row}\n\n{header()}")
        for group in found:
            print(line(group, values, given.row, given.blind))


def read(path: Path, preset: str) -> Values:
    """Read what a report holds of a preset."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["preset"] == preset]
    if not rows:
        raise DataError(f"{path}: has no pictures of preset {preset!r}")
    return {
        (row["row"], row["person"]): {name: float(row[name]) if row[name] else math.nan for name in JUDGED}
        for row in rows
    }


def groups(pack: Pack) -> Iterator[Group]:
    """Split the people who were restored, each kind of split by itself; one that splits nobody is left out."""
    targets = plan(pack.identities, pack.native_px)
    yield Group("all", "everybody", tuple(target.person for target in targets))

    def split(kind: str, told: Callable[[int], str], order: Sequence[str] = ()) -> Iterator[Group]:
        names = [told(target.photo) for target in targets]
        for name in order or sorted(set(names)) if len(set(names)) > 1 else ():
            yield Group(kind, name, tuple(t.person for t, own in zip(targets, names, strict=True) if own == name))

    yield from split("turn", lambda photo: "turned" if abs(turn(pack.points(photo))) >= TURNED else "frontal")
    tones = {target.photo: tone(pack.square(target.photo), pack.points(target.photo)) for target in targets}
    limits = np.quantile(list(tones.values()), (1 / 3, 2 / 3))
    thirds = [f"ITA below {limits[0]:.0f}", f"ITA {limits[0]:.0f} to {limits[1]:.0f}", f"ITA above {limits[1]:.0f}"]
    yield from split("skin", lambda photo: thirds[int(np.searchsorted(limits, tones[photo]))], thirds)
    fine = pack.native_px * pack.size / pack.side >= FINE_PX
    yield from split("detail", lambda photo: f"{FINE_PX} px and more" if fine[photo] else f"below {FINE_PX} px")
    yield from split("colour", lambda photo: "grey" if is_grey(pack.square(photo)) else "colour")
    yield from split("collection", lambda photo: pack.sources[photo])


def turn(points: Float[np.ndarray, "5 2"]) -> float:
    """Return how far the nose stands from the middle of the eyes, as of their distance."""
    return float(pose_and_mouth(points)[0])


def tone(square: np.ndarray, points: Float[np.ndarray, "5 2"]) -> float:
    """Return the individual typology angle of both cheeks in degrees: the greater, the lighter. [Chardon 1991]"""
    lab = cv2.cvtColor(square.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    half = max(1, round(CHEEK * float(np.hypot(*(points[1] - points[0])))))
    patches = []
    for eye, mouth in ((points[0], points[3]), (points[1], points[4])):
        x, y = (round(float(value)) for value in (eye + mouth) / 2)
        patches.append(lab[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1].reshape(-1, 3))
    lightness, _, yellow = np.median(np.concatenate(patches), axis=0)
    return math.degrees(math.atan2(lightness - 50, max(float(yellow), 1e-6)))


def is_grey(square: np.ndarray) -> bool:
    """Tell whether a photo has no colours to speak of."""
    levels = square.astype(np.float32)
    return float((levels.max(axis=2) - levels.min(axis=2)).mean()) < GREY


def header() -> str:
    """Return the head of a table."""
    judged = [f"{name}: {part}" for name in JUDGED for part in ("input", "led", "led - blind")]
    return f"| | | n | {' | '.join(judged)} |\n|---|---|---:|{'---|' * len(judged)}"


def line(group: Group, values: Values, led: str, blind: str) -> str:
    """Write a group's means and what references add."""
    cells = []
    people = [person for person in group.people if (led, person) in values]
    for name in JUDGED:
        by_row = {row: [values[row, person][name] for person in people] for row in (INPUT, led, blind)}
        pairs = [(a, b) for a, b in zip(by_row[led], by_row[blind], strict=True) if a == a and b == b]
        cells += [f"{np.nanmean(by_row[row]) if people else math.nan:.3f}" for row in (INPUT, led)]
        if len(pairs) < 2:
            cells.append("too few")
            continue
        cells.append(str(paired_bootstrap([a for a, _ in pairs], [b for _, b in pairs], 0)))
    return f"| {group.kind} | {group.name} | {len(people)} | {' | '.join(cells)} |"


if __name__ == "__main__":
    try:
        main()
    except KeepfaceError as error:
        sys.exit(f"error: {error}")
