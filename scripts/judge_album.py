"""Restore an album whose people are known, each face by its own person, and judge matches, strangers and faces.

python scripts/judge_album.py ALBUM -o OUT

ALBUM holds photos/, people/NAME/*.jpg and truth.json (for every photo its faces: person or null, and centre in pixels).
Prints a line a face and the sums; writes the restored pictures, and each photo's JSON row, into OUT. Where truth.json
names the clean originals, faces that were changed are also compared with these: perceptual distance, and the judge's
cosine.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from keepface.engine.batch import Item, batching_for, restore_each
from keepface.engine.matching import People
from keepface.engine.provenance import Options
from keepface.engine.references import gather_references
from keepface.engine.restorer import Restorer
from keepface.engine.result import FaceResult, Restoration
from keepface.engine.settings import RestoreSettings
from keepface.faces.align import align_ffhq, template_face
from keepface.identity.facenet_layers import FaceNetLayers
from keepface.image.files import read_photo
from keepface.image.size import resize
from keepface.metrics.texture import TextureDistance

COMPARED_PX = 160  # side of the squares that are compared with the clean originals
NEAR = 0.35  # of a face's box: so far may its middle be from where the truth says


def main() -> None:
    """Read the arguments, restore, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("album", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--family", default="compact")
    parser.add_argument("--method", default="faceme")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    restorer = Restorer.from_pretrained(given.family, given.method)
    folders = sorted(path for path in (given.album / "people").iterdir() if path.is_dir())
    gathered = [(folder.name, gather_references(restorer, sorted(folder.iterdir()))) for folder in folders]
    people = People(tuple(replace(references, person=name) for name, references in gathered))
    truth = json.loads((given.album / "truth.json").read_text())
    items = [Item(given.album / row["photo"], given.output / f"{Path(row['photo']).stem}.png") for row in truth]
    batching = batching_for(len(items))
    done = {}
    for outcome in restore_each(restorer, items, people, Options(RestoreSettings()), batching, keep):
        if outcome.made is None:
            raise SystemExit(f"{outcome.item.source}: {outcome.error}")
        done[outcome.number] = outcome.made
    counts: Counter[str] = Counter()
    for number, row in enumerate(truth):
        judge(restorer, given.album, row, done[number], counts)
    known, right = counts["known"], counts["right"]
    print(
        f"\n{len(done)} photos; {known} known faces: {right} with their own person, {counts['wrong']} with a wrong one"
    )
    print(f"precision {right / max(right + counts['wrong'], 1):.3f}, recall {right / known:.3f}")
    print(f"{counts['strangers']} strangers, {counts['touched']} of them changed")
    print("; ".join(f"{word}: {count}" for word, count in counts.items() if word.startswith("verdict")))
    compare_with_clean(restorer, given.album, truth, done)


def compare_with_clean(restorer: Restorer, album: Path, truth: list[dict], done: dict[int, Restoration]) -> None:
    """Print how near the known faces that were changed are to their clean originals, before and after."""
    distance = TextureDistance(FaceNetLayers())
    counts: Counter[str] = Counter()
    sums = torch.zeros(4)
    for number, row in enumerate(truth):
        if "clean" not in row:
            continue
        clean = read_photo(album / row["clean"]).pixels
        size = (clean.shape[1], clean.shape[2])
        faces = restorer.embedder.detector.detect(clean)
        shown = [resize(read_photo(album / row["photo"]).pixels, size), resize(done[number].image.pixels, size), clean]
        for expected in row["faces"]:
            result = nearest(done[number], expected["centre"])
            if not expected["person"] or result is None or not result.changed:
                continue
            middle = np.array(expected["centre"]) * clean.shape[2] / read_photo(album / row["photo"]).pixels.shape[2]
            face = min(faces, key=lambda item, at=middle: float(np.linalg.norm(item.points.mean(0) - at)))
            squares = [align_ffhq(pixels, face.points, COMPARED_PX).crop for pixels in shown]
            found = [restorer.judge.embed(square, template_face(COMPARED_PX)) for square in squares]
            before, after = (distance(square, squares[2]) for square in squares[:2])
            was, now = float(found[0] @ found[2]), float(found[1] @ found[2])
            counts["changed"] += 1
            counts["both better"] += after < before and now > was
            counts["perceptual distance lower"] += after < before
            counts["likeness higher"] += now > was
            counts["both worse"] += after >= before and now <= was
            sums += torch.tensor([before, after, was, now])
            nearer = f"perceptual {before:.3f} -> {after:.3f}, likeness {was:.3f} -> {now:.3f}"
            print(f"{row['photo']} {expected['person']}: {nearer}")
    if counts["changed"]:
        before, after, was, now = (sums / counts["changed"]).tolist()
        mean = f"perceptual {before:.3f} -> {after:.3f}, likeness {was:.3f} -> {now:.3f}"
        print(f"beside the clean originals: {dict(counts)}; on average {mean}")


def keep(item: Item, restoration: Restoration) -> Restoration:
    """Write a picture and its row."""
    restoration.save(item.output, force=True)
    item.output.with_suffix(".json").write_text(json.dumps(restoration.to_json(str(item.output)), indent=1))
    return restoration


def judge(restorer: Restorer, album: Path, row: dict, restoration: Restoration, counts: Counter[str]) -> None:
    """Compare one photo's faces with the truth, and print them."""
    before = read_photo(album / row["photo"]).pixels
    for expected in row["faces"]:
        face = nearest(restoration, expected["centre"])
        who, name = expected["person"], face.person if face else None
        counts["known" if who else "strangers"] += 1
        counts["right"] += bool(who) and name == who
        counts["wrong"] += name is not None and name != who
        if face is None:
            print(f"{row['photo']} {who or 'stranger':10} not found")
            continue
        if who is None:
            counts["touched"] += face.changed or differs(before, restoration.image.pixels, face)
        counts[f"verdict {face.outcome}"] += 1
        was, now = face.similarity.input_to_references, face.similarity.output_to_references
        likeness = "" if was is None or now is None else f"{was:.2f} -> {now:.2f}"
        chance = "" if face.same_person_probability is None else f"p {face.same_person_probability:.2f}"
        print(f"{row['photo']} {who or 'stranger':10} {name or '-':10} {likeness:13} {chance:7} {face.reason or ''}")


def nearest(restoration: Restoration, centre: tuple[float, float]) -> FaceResult | None:
    """Return the face whose middle is where the truth says."""
    for face in restoration.faces:
        if face.box is None:
            continue
        left, top, right, bottom = face.box
        reach = NEAR * (right - left)
        if abs((left + right) / 2 - centre[0]) <= reach and abs((top + bottom) / 2 - centre[1]) <= reach:
            return face
    return None


def differs(before: torch.Tensor, after: torch.Tensor, face: FaceResult) -> bool:
    """Tell whether any pixel in a face's box changed."""
    assert face.box is not None
    left, top, right, bottom = (int(edge) for edge in face.box)
    area = (slice(None), slice(max(top, 0), bottom), slice(max(left, 0), right))
    return not torch.equal(before[area], after[area])


if __name__ == "__main__":
    main()
