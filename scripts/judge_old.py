"""Restore real old photos led by newer photos of the same people, and say how likeness changes; there is no truth.

python scripts/judge_old.py OLD -o OUT [--method guided] [--limit N]

OLD holds a folder for each person: old*.jpg and ref*.jpg. Prints a line a photo and the sums; writes OUT/grid.png with
the face of each photo before, after, and of the first reference.
"""

import argparse
from collections import Counter
from pathlib import Path

import torch
from PIL import Image

from keepface.engine.references import gather_references
from keepface.engine.restorer import Restorer
from keepface.errors import KeepfaceError
from keepface.faces.align import align_ffhq
from keepface.image.files import read_photo, to_uint8

SHOWN_PX, ACROSS = 192, 3  # of a square in the grid; photos side by side


def main() -> None:
    """Read the arguments, restore, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--method", default=None)
    parser.add_argument("--limit", type=int, default=None)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    restorer = Restorer.from_pretrained(method=given.method)
    rows, changes, counts = [], [], Counter[str]()
    for folder in sorted(path for path in given.old.iterdir() if path.is_dir())[: given.limit]:
        references = sorted(folder.glob("ref*.jpg"))
        for photo in sorted(folder.glob("old*.jpg")):
            try:
                led_by = gather_references(restorer, references)
                done = restorer.restore(photo, led_by)
            except KeepfaceError as error:
                counts["failed"] += 1
                print(f"{folder.name} {photo.name}: {error}")
                continue
            face = next((item for item in done.faces if item.restored), done.faces[0])
            before, after = face.similarity.input_to_references, face.similarity.output_to_references
            counts["restored" if face.restored else "unchanged"] += 1
            if face.restored and before is not None and after is not None:
                changes.append(after - before)
                print(f"{folder.name} {photo.name}: likeness {before:.2f} -> {after:.2f}")
            else:
                print(f"{folder.name} {photo.name}: unchanged: {face.reason}")
            found = restorer.embedder.detector.detect(read_photo(photo).pixels)
            if found and led_by.kept:
                square = led_by.kept[0].features.square
                pictures = [
                    align_ffhq(pixels, found[0].points, SHOWN_PX).crop
                    for pixels in (read_photo(photo).pixels, done.image.pixels)
                ]
                if square is not None:
                    small = torch.nn.functional.interpolate(square[None] / 255, (SHOWN_PX, SHOWN_PX), mode="area")
                    pictures.append(small[0])
                rows.append(torch.cat(pictures, 2))
    up, mean = sum(change > 0 for change in changes), sum(changes) / max(1, len(changes))
    print(f"\n{dict(counts)}; likeness up in {up} of {len(changes)}, by {mean:+.3f} on average")
    lines = [torch.cat(rows[first : first + ACROSS], 2) for first in range(0, len(rows) - ACROSS + 1, ACROSS)]
    if lines:
        Image.fromarray(to_uint8(torch.cat(lines, 1))).save(given.output / "grid.png")


if __name__ == "__main__":
    main()
