"""Photos a minute: restored as an album, one photo after the other, and on Ray; prints a Markdown table.

    python benchmarks/batch.py --photos old-photos/ --count 48
    python benchmarks/batch.py --photos old-photos/ --count 48 --ray --threads 1
    python benchmarks/batch.py --count 96 --batch 4 --turns 2

Without a folder the example of the repository is repeated. Photos are repeated up to --count, under names of their own.
All runs write real files, which are compared byte for byte in the end, and start with the networks loaded. Of other
processes the start and the loading of networks are counted, while their imports run beside this one's, as they do for
`keepface restore`; on Ray, where actors load them, the time of a run of one photo an actor is taken off. `--turns` is
for a machine whose pace changes: 16 photos one by one and all in processes, in turn, summed up.
"""

import argparse
import functools
import hashlib
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from keepface.engine.album import Run, Studio, restore_album, restore_here
from keepface.engine.batch import Batching, Item
from keepface.engine.manifest import FOLDER, Manifest
from keepface.engine.on_ray import OnRay
from keepface.engine.processes import InProcesses
from keepface.engine.provenance import Options
from keepface.engine.redo import restore_by
from keepface.engine.references import References, gather_references
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.image.files import read_photo
from keepface.standby import Start, import_ahead

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "old.png"
FEW = 16  # photos of a turn that is done one by one
READ = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Row:
    """One way of doing all photos."""

    way: str
    photos: int
    faces: int
    seconds: float
    cpu_seconds: float  # of this process: tells more than the clock on a machine with other work
    digest: str  # of all outputs

    @property
    def rate(self) -> float:
        """Return photos a minute."""
        return 60 * self.photos / self.seconds


def load(options: argparse.Namespace) -> tuple[Restorer, References]:
    """Load the networks, and who leads."""
    torch.set_num_threads(options.threads or torch.get_num_threads())
    restorer = Restorer.from_pretrained(options.family, options.method, options.device)
    return restorer, gather_references(restorer, options.reference)


def one_by_one(items: list[Item], studio: Studio) -> int:
    """Restore photo after photo, as a call for each would, but with the networks loaded; return how many faces."""
    faces = 0
    for item in items:
        restoration, _ = restore_by(studio.options, studio.restorer, read_photo(item.source), studio.references)
        restoration.save(item.output)
        faces += sum(face.changed for face in restoration.faces)
    return faces


def as_album(items: list[Item], studio: Studio, run: Run = restore_here) -> int:
    """Restore photos together, with a manifest; return how many faces."""
    manifest = Manifest(items[0].output.parent)
    faces = 0
    for told in restore_album(items, manifest, studio, run=run):
        if told.row["error"]:
            raise SystemExit(told.row["error"])
        faces += sum(face["restored"] for face in told.row["faces"])
    manifest.close()
    return faces


def measure(way: str, sources: list[Path], studio: Studio, folder: Path, run: Run | None) -> Row:
    """Do all photos in one way."""
    out = folder / "".join(letter if letter.isalnum() else "-" for letter in way)
    out.mkdir()
    items = [Item(source, out / source.name) for source in sources]
    started, spent = time.perf_counter(), time.process_time()
    faces = one_by_one(items, studio) if run is None else as_album(items, studio, run)
    seconds, spent = time.perf_counter() - started, time.process_time() - spent
    digest = hashlib.sha256()
    for path in sorted(out.iterdir()):
        if path.name != FOLDER:
            digest.update(path.name.encode() + path.read_bytes())
    return Row(way, len(items), faces, seconds, spent, digest.hexdigest()[:12])


def copies(photos: Path | None, count: int, folder: Path) -> list[Path]:
    """Repeat the photos of a folder, or the example, under names of their own."""
    given = sorted(path for path in photos.iterdir() if path.suffix.lower() in READ) if photos else [EXAMPLE]
    folder.mkdir()
    chosen = [given[number % len(given)] for number in range(count)]
    return [Path(shutil.copy(path, folder / f"{number:04}{path.suffix}")) for number, path in enumerate(chosen)]


def in_processes(
    options: argparse.Namespace, sources: list[Path], studio: Studio, folder: Path, start: Start
) -> list[Row]:
    """Do all photos in several processes that share the threads, the start of all but the first included."""
    rows = []
    threads = max(1, torch.get_num_threads() // options.processes)
    networks = functools.partial(Restorer.from_pretrained, options.family, options.method, options.device)
    for squares in options.batch:
        one = replace_batch(studio, squares)
        run = InProcesses(networks, options.processes, threads, start)
        way = f"{options.processes} processes of {threads} thread{'s' if threads > 1 else ''}, {squares} faces at once"
        rows.append(measure(way, sources, one, folder, run))
    return rows


def in_turns(options: argparse.Namespace, sources: list[Path], studio: Studio, folder: Path, start: Start) -> list[Row]:
    """Do a few photos one by one before, between and after all in processes, and sum up what the turns took."""
    alone, together = [], []
    for turn in range(options.turns + 1):
        place = folder / f"turn-{turn}"
        place.mkdir()
        alone.append(measure("one by one", sources[:FEW], studio, place, None))
        if turn < options.turns:
            together.append(in_processes(options, sources, studio, place, start))
    return [summed(alone), *(summed(rows) for rows in zip(*together, strict=True))]


def summed(rows: Sequence[Row]) -> Row:
    """Add up rows of one way."""
    digests = {row.digest for row in rows}
    return Row(
        f"{rows[0].way}, {len(rows)} times",
        sum(row.photos for row in rows),
        sum(row.faces for row in rows),
        sum(row.seconds for row in rows),
        sum(row.cpu_seconds for row in rows),
        digests.pop() if len(digests) == 1 else "differ",
    )


def replace_batch(studio: Studio, squares: int) -> Studio:
    """Return the same studio with batches of another length."""
    return replace(studio, batching=replace(studio.batching, squares=squares))


def on_ray(options: argparse.Namespace, sources: list[Path], studio: Studio, folder: Path) -> list[Row]:
    """Do all photos with one actor and with two, the start taken off."""
    rows = []
    for actors in (1, 2):
        run = OnRay(functools.partial(load, options), actors, torch.get_num_threads())
        start = measure(f"start {actors}", sources[:actors], studio, folder, run).seconds
        row = measure(f"Ray, {actors} actor{'s' if actors > 1 else ''}", sources, studio, folder, run)
        rows.append(replace(row, photos=row.photos - actors, seconds=row.seconds - start))
    return rows


def table(rows: list[Row]) -> str:
    """Write the lines as a Markdown table."""
    lines = ["| | photos | faces | seconds | CPU seconds | photos a minute | times the first | outputs |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---|"]
    for row in rows:
        times = row.rate / rows[0].rate
        lines.append(
            f"| {row.way} | {row.photos} | {row.faces} | {row.seconds:.1f} | {row.cpu_seconds:.1f} | {row.rate:.1f} | "
            f"{times:.2f} | `{row.digest}` |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of photos; the default is the repository's example")
    parser.add_argument("--reference", type=Path, action="append", default=[], help="photo of who leads; repeatable")
    parser.add_argument("--count", type=int, default=32, help="photos in all")
    parser.add_argument("--batch", type=int, nargs="+", default=[Batching().squares], help="faces at once")
    parser.add_argument("--workers", type=int, default=Batching().workers)
    parser.add_argument("--processes", type=int, default=torch.get_num_threads(), help="one for each core, say")
    parser.add_argument("--steps", type=int, default=RestoreSettings().steps)
    parser.add_argument("--threads", type=int, help="of torch; the default is torch's own")
    parser.add_argument("--method", default="faceme")
    parser.add_argument("--family", default="compact")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=0, help="one by one and processes in turn, so many times")
    parser.add_argument("--ray", action="store_true", help="measure one and two actors on this machine instead")
    options = parser.parse_args()
    is_shared = options.processes > 1 and not options.ray
    start = import_ahead("keepface.engine.processes") if is_shared else "spawn"
    restorer, references = load(options)
    asked = Options(RestoreSettings(steps=options.steps, keep_worse=True))
    batching = Batching(options.batch[0], options.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = copies(options.photos, options.count, folder / "in")
        studio = Studio(restorer, references, asked, batching)
        measure("warm up", sources[:2], studio, folder, None)
        if options.ray:
            rows = [measure("one process", sources, studio, folder, restore_here)]
            rows += on_ray(options, sources, studio, folder)
        elif options.turns:
            rows = in_turns(options, sources, studio, folder, start)
        else:
            rows = [measure("one by one", sources, studio, folder, None)]
            for squares in options.batch:
                one = replace_batch(studio, squares)
                rows.append(measure(f"one process, {squares} faces at once", sources, one, folder, restore_here))
            rows += in_processes(options, sources, studio, folder, start) if is_shared else []
    print(f"{platform.machine()}, {options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    steps, led_by = restorer.steps(asked.settings), len(references.kept)
    print(f"{options.method}, {restorer.size} px squares, {steps} steps, {led_by} references\n")
    print(table(rows))


if __name__ == "__main__":
    main()
