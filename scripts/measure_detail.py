"""Measure how much detail faces hold whose detail is known, to see how far `faces/detail.py` can be trusted.

python scripts/measure_detail.py FACES --limit 40

FACES holds val-*.parquet (docs/data.md). Each photo is shrunk until it is sharp for sure, which is its known size; then
it is enlarged, blurred, made noisy and pressed, and measured again. Prints medians and the middle 80 % over photos.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from PIL import Image

from keepface.degrade.jpeg import jpeg
from keepface.faces.detail import REFERENCE, face_spectrum, measure_detail
from keepface.image.files import from_uint8
from keepface.image.size import resize
from keepface.seeds import generator

MARGIN = 1.2  # side of a stored crop in sides of the FFHQ square
KNOWN = (64, 96, 128, 192)  # px, FFHQ squares that a photo is shrunk to


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--limit", type=int, default=40, help="photos of each shard")
    parser.add_argument("--curve", action="store_true", help="print the mean power by frequency instead")
    given = parser.parse_args()
    for shard in sorted(given.faces.glob("val-*.parquet")):
        photos = list(read(shard, given.limit))
        if given.curve:
            curve(shard.stem, photos)
        else:
            table(shard.stem, photos)


def read(shard: Path, limit: int):
    """Give the photos of a shard: pixels, points, and the side of the FFHQ square that they were stored with."""
    rows = pyarrow.parquet.read_table(shard, columns=["image", "landmarks", "inside"]).to_pylist()
    step = max(1, len(rows) // limit)
    for row in rows[::step][:limit]:
        picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
        pixels = from_uint8(np.asarray(picture))
        yield pixels, np.array(row["landmarks"], np.float64).reshape(5, 2), pixels.shape[-1] / MARGIN


def scaled(pixels: torch.Tensor, points: np.ndarray, side: int) -> tuple[torch.Tensor, np.ndarray]:
    """Resize a square picture, and its points with it."""
    factor = side / pixels.shape[-1]
    return resize(pixels, (side, side), "bicubic").clamp(0, 1), (points + 0.5) * factor - 0.5


def table(name: str, photos) -> None:
    """Print what is measured beside what is known."""
    found = [measure_detail(pixels, points) for pixels, points, _ in photos]
    say(name, "as stored, share of its size", [item.held_px / item.side_px for item in found])
    for known in KNOWN:
        ways: dict[str, list[float]] = {}
        for number, (pixels, points, side) in enumerate(photos):
            if side < 1.2 * known:
                continue
            small, there = scaled(pixels, points, round(known * MARGIN))
            large, wide = scaled(small, there, 3 * small.shape[-1])
            noise = torch.randn(small.shape, generator=generator(number, "detail"))
            for way, picture, where in (
                ("sharp", small, there),
                ("enlarged 3 times", large, wide),
                ("noise 0.03", (small + 0.03 * noise).clamp(0, 1), there),
                ("noise 0.1", (small + 0.1 * noise).clamp(0, 1), there),
                ("JPEG 40", jpeg(small, 40), there),
                ("enlarged, JPEG 40", jpeg(large, 40), wide),
            ):
                ways.setdefault(way, []).append(measure_detail(picture, where).held_px)
        for way, values in ways.items():
            say(f"{name} {known} px", way, values)


def say(what: str, way: str, values: list[float]) -> None:
    """Print a line."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    print(f"{what:22} {way:30} {middle:7.2f}  ({low:.2f} to {high:.2f}), n = {len(values)}")


def curve(name: str, photos) -> None:
    """Print the mean power by frequency, relative to the coarse bands."""
    rows, length = [], 0
    for pixels, points, _ in photos:
        spectrum = face_spectrum(pixels, points)
        known = (spectrum.cycles >= REFERENCE[0]) & (spectrum.cycles <= REFERENCE[1])
        rows.append(
            (spectrum, np.log2(np.maximum(spectrum.signal, 1e-12) / np.exp(np.log(spectrum.power[known]).mean())))
        )
        length = max(length, len(spectrum.cycles))
    for band in range(length):
        values = [row[band] for _, row in rows if len(row) > band]
        k = next(spectrum.cycles[band] for spectrum, row in rows if len(row) > band)
        print(f"{name} {k:6.1f} cycles: {np.mean(values):7.2f} +- {np.std(values):.2f} (log2 power), n = {len(values)}")


if __name__ == "__main__":
    main()
