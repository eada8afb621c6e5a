"""Seconds, peak memory and seams of whole pictures restored by tiles; prints a Markdown table.

    python benchmarks/tiles.py --steps 4
    python benchmarks/tiles.py --photo old.jpg --sizes 2048 --overlap 0.5 0.25 0 --steps 20

Without a photo a drawn one is used, with as much energy in each octave as photos have.
"""

import argparse
import platform
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.memory import Watch
from keepface.device import choose_device
from keepface.diffusion.tiled import pixels_per_cell
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.image.files import read_photo
from keepface.image.size import resize
from keepface.metrics.seams import seam_ratio
from keepface.seeds import generator

SIZES = (512, 1024, 2048)


@dataclass(frozen=True)
class Row:
    """One picture restored."""

    px: tuple[int, int]  # height, width
    overlap: float
    tiles: int
    seconds: float
    cpu_seconds: float  # of all threads: tells more than the clock on a machine with other work
    peak_mib: float
    seams_before: float  # of the picture as given, across the lines where the tiles meet: its content alone
    seams: float


def drawn(side: int) -> Float[Tensor, "3 h w"]:
    """Draw noise whose amplitude falls as 1 / frequency, as that of photos does."""
    down, along = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
    frequency = (down.square() + along.square()).sqrt().clamp(min=1 / side)
    spectrum = torch.fft.rfft2(torch.randn(3, side, side, generator=generator(0, "tiles"))) / frequency
    picture = torch.fft.irfft2(spectrum, s=(side, side))
    return (picture / picture.std() * 0.15 + 0.5).clamp_(0, 1)


def measure(restorer: Restorer, low: Float[Tensor, "3 h w"], settings: RestoreSettings, device: torch.device) -> Row:
    """Restore one picture by tiles and look for seams where tiles begin and end."""
    started = time.process_time()
    with Watch(device) as watch:
        tiled = restorer.restore_tiles(low, [], settings, 0)
    spent = time.process_time() - started
    borders, cell = tiled.layout.borders(), pixels_per_cell(restorer.method.family)
    before, after = (seam_ratio(picture[None], *borders, cell=cell) for picture in (low, tiled.pixels))
    size = (low.shape[1], low.shape[2])
    return Row(size, settings.tile_overlap, len(tiled.layout), watch.seconds, spent, watch.peak_mib, before, after)


def table(rows: list[Row]) -> str:
    """Write the lines as a Markdown table."""
    lines = [
        "| picture, px | overlap | tiles | seconds | CPU seconds | peak memory, MiB | seams, input | seams, restored |"
    ]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        lines.append(
            f"| {row.px[1]} x {row.px[0]} | {row.overlap:g} | {row.tiles} | {row.seconds:.1f} | "
            f"{row.cpu_seconds:.1f} | {row.peak_mib:.0f} | {row.seams_before:.3f} | {row.seams:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", help="photo to restore, its longer side brought to each size; the default is drawn")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="longer sides, px")
    parser.add_argument("--overlap", type=float, nargs="+", default=[0.5, 0.0], help="of tiles, share of their side")
    parser.add_argument("--batch", type=int, default=RestoreSettings().tile_batch, help="tiles at once")
    parser.add_argument("--steps", type=int, default=RestoreSettings().steps)
    parser.add_argument("--method", default="faceme")
    parser.add_argument("--family", default="compact")
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps; the default is the fastest there is")
    options = parser.parse_args()
    device = choose_device(options.device)
    restorer = Restorer.from_pretrained(options.family, options.method, str(device))
    photo = read_photo(options.photo).pixels if options.photo else None
    rows = []
    for side in options.sizes:
        longest = max(photo.shape[1:]) if photo is not None else side
        low = drawn(side) if photo is None else resize(photo, tuple(round(n * side / longest) for n in photo.shape[1:]))
        for overlap in options.overlap:
            chosen = {"steps": options.steps, "tile_batch": options.batch, "tile_overlap": overlap}
            rows.append(measure(restorer, low, RestoreSettings(tile=True, **chosen), device))
    print(f"{platform.machine()}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    steps = restorer.steps(RestoreSettings(steps=options.steps))
    print(f"{options.method}, {restorer.size} px squares, {steps} steps, {options.batch} tiles at once\n")
    print(table(rows))


if __name__ == "__main__":
    main()
