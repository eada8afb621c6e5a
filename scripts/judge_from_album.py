"""Let an album guide itself, half of its photos degraded, and judge who was grouped with whom and what came out.

python scripts/judge_from_album.py ALBUM

ALBUM holds photos/, their originals clean/, and truth.json (for every photo its faces: person or null, centre in pixels
of photos/, and the photo's scale). Every second photo is taken from clean/, the others from photos/, then the other way
round. Prints what was grouped: of pairs of faces in one group the share of one person (precision), of pairs of one
person the share in one group (recall), strangers and unnamed people left out; and the judge's cosine to the original
face of each restored one: degraded, restored by the photo alone, and with the references that keepface found. Faces
whose own original is among their references are not in the second table.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from keepface.data.copies import SAME_PHOTO, signature
from keepface.engine.batch import Batching, restore_many
from keepface.engine.from_album import AlbumPeople, people_of_album
from keepface.engine.matching import People, Plan
from keepface.engine.provenance import Options
from keepface.engine.restorer import Restorer
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.faces.align import align_ffhq
from keepface.faces.face import Face
from keepface.image.files import Photo, read_photo, to_uint8

NEAR = 0.35  # of a face's width: so far may its middle be from where the truth says
OPTIONS = Options(RestoreSettings())
SQUARE = 128  # px at which two squares are compared


@dataclass(frozen=True, eq=False)
class Known:
    """A face of whom the truth is known, and what was decided of it."""

    source: str
    place: int  # among the faces of its photo
    person: str
    is_degraded: bool
    plan: Plan
    label: str | None
    truth: Photo  # the original photo
    scale: float  # of the photo, in sizes of the original


def main() -> None:
    """Read the arguments, group, restore and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("album", type=Path)
    parser.add_argument("--groups-only", action="store_true", help="restore nothing")
    given = parser.parse_args()
    restorer = Restorer.from_pretrained()
    truth = json.loads((given.album / "truth.json").read_text())
    rows: list[tuple[float, ...]] = []
    pairs = [0, 0, 0]  # of one person in one group, in one group, of one person
    led = [0, 0]  # by their own person, by another
    for first in (0, 1):
        sources = [
            str(given.album / row["clean" if number % 2 == first else "photo"]) for number, row in enumerate(truth)
        ]
        found = people_of_album(restorer, sources, OPTIONS)
        faces = list(known(given.album, truth, found, sources))
        print(f"originals: every second from {first:02d} on; {found.told}")
        pairs = [before + more for before, more in zip(pairs, counted(faces), strict=True)]
        who = {
            label: {face.person for face in faces if face.label == label and not face.is_degraded}
            for label in labels(faces)
        }
        for face in faces:
            if face.is_degraded and face.plan.is_matched:
                led[face.person not in who[face.label]] += 1
        if not given.groups_only:
            rows += restored(restorer, found, [face for face in faces if face.is_degraded])
    one, together, same = pairs
    print(f"\npairs in one group {together}, of one person {one}: precision {one / max(together, 1):.3f}")
    print(f"pairs of one person {same}: recall {one / max(same, 1):.3f}")
    print(f"degraded faces led: {led[0]} by good faces of their own person, {led[1]} by another's")
    if rows:
        words = ("degraded", "by the photo alone", "with the album's references")
        print(
            f"\n{len(rows)} faces that were changed with or without references, "
            f"cosine to the original by {restorer.judge.name}:"
        )
        for word, values in zip(words, zip(*rows, strict=True), strict=True):
            print(f"  {word}: {fmean(values):.4f}")
        more = [with_references - alone for _, alone, with_references in rows]
        print(f"  references better in {sum(item > 0 for item in more)}, worse in {sum(item < 0 for item in more)}")


def known(album: Path, truth: Sequence[dict[str, Any]], found: AlbumPeople, sources: Sequence[str]) -> Iterator[Known]:
    """Give the faces of named people, where the truth says that they are."""
    assert found.people.plans is not None
    for row, source in zip(truth, sources, strict=True):
        is_degraded = source.endswith(row["photo"])
        size = 1.0 if is_degraded else 1 / row["scale"]
        original = read_photo(album / row["clean"])
        for place, plan in enumerate(found.people.plans[source]):
            for face in row["faces"]:
                centre = [value * size for value in face["centre"]]
                if face["person"] and math.dist(centre, plan.face.centre) < NEAR * plan.face.width:
                    scale = row["scale"] if is_degraded else 1.0
                    label = plan.led_by.person if plan.led_by else None
                    yield Known(source, place, face["person"], is_degraded, plan, label, original, scale)


def labels(faces: Sequence[Known]) -> set[str | None]:
    """Return all labels that were given."""
    return {face.label for face in faces}


def counted(faces: Sequence[Known]) -> list[int]:
    """Count pairs of faces: of one person in one group, in one group, of one person."""
    pairs = [
        (one.label is not None and one.label == other.label, one.person == other.person)
        for one, other in combinations(faces, 2)
    ]
    return [sum(a and b for a, b in pairs), sum(a for a, _ in pairs), sum(b for _, b in pairs)]


def restored(restorer: Restorer, found: AlbumPeople, faces: Sequence[Known]) -> list[tuple[float, ...]]:
    """Restore with references and without, and return three cosines for each face that either changed."""
    assert found.people.plans is not None
    sources = sorted({face.source for face in faces})
    alone = {
        source: tuple(replace(plan, led_by=None, compared_with=None, is_matched=False) for plan in plans)
        for source, plans in found.people.plans.items()
    }
    ways = [done(restorer, sources, people) for people in (People((), alone), found.people)]
    rows = []
    for face in faces:
        results = [way[face.source] for way in ways]
        if not face.plan.is_matched or not any(result.faces[face.place].changed for result in results):
            continue
        original = face.plan.face.scaled(1 / face.scale)
        if leaks(face, original):
            continue
        target = restorer.judge.embed(face.truth.pixels, original)
        photos = [read_photo(face.source), *(result.image for result in results)]
        rows.append(tuple(float(restorer.judge.embed(photo.pixels, face.plan.face) @ target) for photo in photos))
        print(f"  {Path(face.source).name} {face.label}: " + " ".join(f"{value:.3f}" for value in rows[-1]))
    return rows


def done(restorer: Restorer, sources: Sequence[str], people: People) -> dict[str, Restoration]:
    """Restore photos."""
    outcomes = restore_many(restorer, sources, people, OPTIONS, Batching(4, 1))
    return {str(outcome.item.source): outcome.made for outcome in outcomes if outcome.made is not None}


def leaks(face: Known, original: Face) -> bool:
    """Tell whether the original picture of a face is among its references."""
    own = signature(to_uint8(align_ffhq(face.truth.pixels, original.points, SQUARE).crop))
    assert face.plan.led_by is not None
    squares = [reference.features.square for reference in face.plan.led_by.kept]
    shown = [square.permute(1, 2, 0).numpy() for square in squares if square is not None]
    return any(float(own @ signature(square)) >= SAME_PHOTO for square in shown)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
