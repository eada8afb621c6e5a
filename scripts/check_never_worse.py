"""Restore photos whose truth is known, and tell what was done to them: sharp ones must come back as they were.

python scripts/check_never_worse.py FACES --limit 40 --px 64 96 128 192
python scripts/check_never_worse.py FACES --limit 40 --px 96 --preset light

FACES holds val-*.parquet (docs/data.md). Each photo is shrunk until its face's square has so many pixels, at which it
is sharp, and damaged as the preset says; nobody leads. Prints for each size how many faces were left alone, denoised
and restored, and for those that were changed how near they were to the truth and are now, in the face: PSNR, and the
judge's cosine.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from measure_detail import MARGIN, read, scaled

from keepface.bench.photos import degraded
from keepface.degrade.chains import PRESETS
from keepface.engine.photo import restore_photo
from keepface.engine.restorer import Restorer
from keepface.engine.result import FaceResult
from keepface.engine.settings import RestoreSettings
from keepface.faces.face import Face
from keepface.identity.compare import cosine
from keepface.image.files import Photo

LEAST_PX = 1.15  # a photo is shrunk at least so many times, so that it is sharp


def main() -> None:
    """Read the arguments, restore and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--limit", type=int, default=40, help="photos of all shards together")
    parser.add_argument("--px", type=int, nargs="+", default=[64, 96, 128, 192])
    parser.add_argument("--preset", choices=sorted(PRESETS), help="damage; without it the photos are sharp")
    parser.add_argument("--family", default="compact")
    given = parser.parse_args()
    restorer = Restorer.from_pretrained(given.family)
    shards = sorted(given.faces.glob("val-*.parquet"))
    photos = [item for shard in shards for item in read(shard, -(-given.limit // len(shards)))][: given.limit]
    for px in given.px:
        outcomes, codes, gains = Counter(), Counter(), []
        for number, (pixels, points, side) in enumerate(photos):
            if side < LEAST_PX * px:
                continue
            clean, _ = scaled(pixels, points, round(px * MARGIN))
            low = clean if given.preset is None else degraded(clean, given.preset, str(number), 0)
            made = restore_photo(restorer, Photo(low), (), RestoreSettings(), number, is_aligned=False)
            face = made.faces[0]
            outcomes[face.outcome] += 1
            codes.update({f"{reason.way or 'not tried'}: {reason.code}" for reason in face.reasons})
            if face.changed:
                gains.append(compared(restorer, clean, low, made.image.pixels, face))
        print(f"{px} px, {given.preset or 'sharp'}: {sum(outcomes.values())} photos; {counted(outcomes)}")
        print(f"    why: {counted(codes)}")
        if gains:
            (psnr, alike), (psnr_now, alike_now) = np.mean(gains, axis=0)
            better = np.mean([[new > old for old, new in zip(*item, strict=True)] for item in gains], axis=0)
            print(f"    changed faces: PSNR {psnr:.2f} to {psnr_now:.2f} dB ({better[0]:.0%} nearer), "
                  f"likeness to the truth {alike:.3f} to {alike_now:.3f} ({better[1]:.0%} nearer)")  # fmt: skip


def compared(
    restorer: Restorer, clean: torch.Tensor, low: torch.Tensor, made: torch.Tensor, result: FaceResult
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return how near the photo and the result are to the truth: PSNR in the face's box, and the judge's cosine."""
    found = restorer.embedder.detector.detect(clean)
    face = found[0] if found else Face(result.box, np.zeros((5, 2)), 0.0)
    left, top, right, bottom = (max(0, round(edge)) for edge in face.box)
    area = (slice(None), slice(top, bottom), slice(left, right))
    true = restorer.judge.embed(clean, face)

    def near(picture: torch.Tensor) -> tuple[float, float]:
        psnr = -10 * float(torch.log10((picture[area] - clean[area]).square().mean()))
        return psnr, float(cosine(restorer.judge.embed(picture, face), true))

    return near(low), near(made)


def counted(counts: Counter[str]) -> str:
    """Return counts, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "nothing"


if __name__ == "__main__":
    main()
