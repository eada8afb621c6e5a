"""Draw the README's picture: the example before and after, its truth and a reference, and below it one that fails.

python scripts/example_picture.py -o docs/pictures/example.jpg

The second row is the same photo so badly damaged (examples/lost.json) that its face is no longer the person's.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from keepface.degrade.chains import from_json, replay
from keepface.engine.choice import Choice
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.faces.align import align_ffhq
from keepface.image.files import Photo, read_photo, to_uint8

EXAMPLES = Path(__file__).parent.parent / "examples"
ROWS = ("old.json", "lost.json")
SIDE, GAP = 300, 6  # px


def main() -> None:
    """Read the arguments, restore both rows, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    restorer = Restorer.from_pretrained()
    references = [EXAMPLES / f"reference-{number}.jpg" for number in (1, 2)]
    truth = read_photo(EXAMPLES / "clean.jpg").pixels
    points = restorer.embedder.detector.detect(truth)[0].points
    shown = read_photo(references[0]).pixels
    last = align_ffhq(shown, restorer.embedder.detector.detect(shown)[0].points, SIDE).crop
    rows = []
    for name in ROWS:
        low = replay(from_json((EXAMPLES / name).read_text()), truth)
        done = restorer.restore(_as_file(low), references, RestoreSettings(choice=Choice(only=("1",))))
        face = done.faces[0]
        print(f"{name}: {face.outcome}, likeness to the references {face.similarity}")
        rows.append([align_ffhq(pixels, points, SIDE).crop for pixels in (low, done.image.pixels, truth)] + [last])
    given.output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_uint8(_sheet(rows))).save(given.output, quality=92)


def _as_file(pixels: Tensor) -> Photo:
    """Round a picture as its file would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "low.png"
        Image.fromarray(to_uint8(pixels)).save(path)
        return read_photo(path)


def _sheet(rows: list[list[Tensor]]) -> Tensor:
    width, height = len(rows[0]) * (SIDE + GAP) - GAP, len(rows) * (SIDE + GAP) - GAP
    sheet = torch.ones(3, height, width)
    for down, row in enumerate(rows):
        for across, square in enumerate(row):
            top, left = down * (SIDE + GAP), across * (SIDE + GAP)
            sheet[:, top : top + SIDE, left : left + SIDE] = square
    return sheet


if __name__ == "__main__":
    main()
