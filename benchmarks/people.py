"""What a learned person adds to PFStorer's base, on validation people; prints a Markdown table a preset.

    python benchmarks/people.py packs/val-256 --family RUN/family --adapters runs/ladder --limit 8
    python benchmarks/people.py packs/val-256 --family RUN/family --adapters runs/ladder \
        --case personal --case personal:photos=1 --case personal:photos=3 --case personal:gen=0

A case is a variant of `keepface.train.personalise`; after a colon, with how many photos (5) and which weight of L_Gen
(0.1). The pack holds squares larger than the family's. The people are those with five other photos, or as many as a
case asks for. Each one's photo with the most detail is restored, made low several times; the others are learned from,
cut as `keepface person train` cuts them. Every person's file stays in the folder of adapters, so that the same command
goes on where it stopped. "Swapped" is the first case led by the next person's file. Differences of the people's means
are paired, with 95 % bootstrap intervals, against the base.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.photos import PackPhotos, degraded
from keepface.bench.plan import Target, plan
from keepface.data.prepare import Pack
from keepface.degrade.chains import PRESETS
from keepface.diffusion.personal_part import Variant
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.faces.surroundings import with_surroundings
from keepface.identity.embed import square_face
from keepface.image.files import from_uint8
from keepface.metrics.statistics import mean_beside
from keepface.metrics.table import METRICS, Instruments
from keepface.seeds import derive
from keepface.train.person_run import LARGEST
from keepface.train.personalise import ADAPTER, MARGIN, TuneSettings, personalise

NAMES = ("identity similarity", "effnet distance", "psnr", "landmark distance")
PRIOR = 16  # squares of other people that the variant dreambooth is kept in line with
BASE, SWAPPED = "base", "swapped"


@dataclass(frozen=True)
class Case:
    """How a person is learned."""

    variant: Variant = "personal"
    photos: int = 5
    gen: float = 0.1

    @classmethod
    def parse(cls, text: str) -> "Case":
        """Read `personal`, `vico:photos=3` or `personal:photos=3,gen=0.5`."""
        variant, _, rest = text.partition(":")
        given = dict(item.split("=", 1) for item in rest.split(",") if item)
        if variant not in get_args(Variant) or given.keys() - {"photos", "gen"}:
            raise argparse.ArgumentTypeError(f"{text}: write it as personal, vico:photos=3 or personal:gen=0.5")
        return cls(variant, int(given.get("photos", cls.photos)), float(given.get("gen", cls.gen)))  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.variant}, {self.photos} photos, L_Gen x {self.gen:g}"

    @property
    def folder(self) -> str:
        """Return what the case is called in the folder of adapters."""
        return f"{self.variant}-{self.photos}-{self.gen:g}"


class Ladder:
    """People, their files in every case, and what the files make of a photo that they were not learned from."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.pack, self.given, self.instruments = Pack(given.pack), given, Instruments.load()
        self.restorer = Restorer.from_pretrained(given.family, "pfstorer", given.device)
        self.photos, most = PackPhotos(self.pack), max(Case.photos, *(case.photos for case in given.cases))
        everybody = plan(self.pack.identities, self.pack.native_px, others=most)
        self.targets: Sequence[Target] = everybody[: given.limit]
        self.truths = [self.photos.square(target.photo, self.restorer.size) for target in self.targets]
        self.embedded = [self.embed(truth) for truth in self.truths]
        tunable = {target.person for target in everybody}
        anybody = plan(self.pack.identities, self.pack.native_px)
        others = [target.photo for target in anybody if target.person not in tunable]
        self.prior = torch.stack([self.photos.square(photo, self.restorer.size) for photo in others[:PRIOR]])

    def learn(self, case: Case, target: Target) -> Path:
        """Learn a person, or go on with it; the seconds are printed once a file is made."""
        folder: Path = self.given.adapters / case.folder / target.person
        if (folder / ADAPTER).exists():
            return folder / ADAPTER
        method, size = self.restorer.method, self.restorer.size
        own = method.settings
        method.settings = replace(own, person=replace(own.person, gen_weight=case.gen))
        sides = (round(MARGIN * size), round(LARGEST * size))
        squares = [
            with_surroundings(from_uint8(self.pack.images[photo]), self.pack.landmarks[photo], MARGIN, sides)
            for photo in target.others[: case.photos]
        ]
        tuning = TuneSettings(case.variant, self.given.steps, preview_every=0, precision=self.given.precision)
        started = time.perf_counter()
        made = personalise(method, squares, folder, tuning, self.prior if case.variant == "dreambooth" else None)
        method.settings = own
        method.unload_adapter()
        print(f"{case}: one person in {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)
        return made

    def low(self, preset: str) -> list[Float[Tensor, "d 3 s s"]]:
        """Make each target's photo low, as many times as asked."""
        draws = range(self.given.draws)
        both = list(zip(self.truths, self.targets, strict=True))
        return [torch.stack([degraded(truth, preset, target.person, k) for k in draws]) for truth, target in both]

    def restored(
        self, low: Sequence[Float[Tensor, "d 3 s s"]], adapters: Sequence[Path | None]
    ) -> list[Float[Tensor, "d 3 s s"]]:
        """Restore each target's low photos with a file, or with none."""
        made = []
        for target, squares, adapter in zip(self.targets, low, adapters, strict=True):
            if adapter is None:
                self.restorer.method.unload_adapter()
            else:
                self.restorer.load_adapter(adapter)
            seeds = [derive(0, "people", target.person, k) for k in range(len(squares))]
            settings = RestoreSettings(steps=self.given.sampling_steps, guidance=self.given.guidance)
            made.append(self.restorer.restore_squares(squares, [[]] * len(squares), settings, seeds))
        return made

    def judged(self, pictures: Sequence[Float[Tensor, "d 3 s s"]]) -> list[list[float]]:
        """Measure pictures against the truths, metric by metric; a person's value is the mean of their pictures'."""
        return [
            [
                fmean(METRICS[name].function(picture, truth, self.instruments).value for picture in of_one)
                for of_one, truth in zip(pictures, self.truths, strict=True)
            ]
            for name in NAMES
        ]

    def embed(self, square: Float[Tensor, "3 s s"]) -> Float[Tensor, "d"]:
        """Return the judge's embedding of a square's face."""
        return self.instruments.judge.embed(square, square_face(square, self.instruments.detector).face)

    def likeness_to_next(self, pictures: Sequence[Float[Tensor, "d 3 s s"]]) -> list[float]:
        """Tell how alike each target's pictures are to the next target's person."""
        pairs = zip(pictures, [*self.embedded[1:], *self.embedded[:1]], strict=True)
        return [fmean(float(self.embed(picture) @ other) for picture in of_one) for of_one, other in pairs]


def report(ladder: Ladder, preset: str, files: dict[str, list[Path | None]]) -> None:
    """Print a preset's table, and to whom a swapped file leads."""
    people = f"{len(ladder.targets)} people, {ladder.given.draws} pictures each"
    print(f"\n{preset}, {people}\n\n| | {' | '.join(NAMES)} |\n|---|{'---|' * len(NAMES)}")
    low = ladder.low(preset)
    pictures = {name: ladder.restored(low, adapters) for name, adapters in files.items()}
    values = {name: ladder.judged(made) for name, made in {"input": low, **pictures}.items()}
    for name, found in values.items():
        base = [None] * len(NAMES) if name in ("input", BASE) else values[BASE]
        print(f"| {name} | {' | '.join(mean_beside(*both) for both in zip(found, base, strict=True))} |")
    toward = [ladder.likeness_to_next(pictures[name]) for name in (SWAPPED, BASE)]
    print(f"\nSwapped, likeness to the file's person: {mean_beside(*toward)}", flush=True)


def main() -> None:
    """Read the arguments, learn, restore, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, help="prepared validation pack, of squares larger than the family's")
    parser.add_argument("--family", required=True, help="one with PFStorer's base")
    parser.add_argument("--adapters", type=Path, required=True, help="folder that keeps the people's files")
    parser.add_argument("--case", type=Case.parse, action="append", dest="cases", help="may be given more than once")
    parser.add_argument("--preset", action="append", choices=sorted(PRESETS), dest="presets")
    parser.add_argument("--limit", type=int, help="people; all, if it is left out")
    parser.add_argument("--guidance", type=float, help="1 is the published form; the family's own, if it is left out")
    parser.add_argument("--draws", type=int, default=3, help="times that each photo is made low")
    parser.add_argument("--steps", type=int, default=TuneSettings().steps, help="of learning")
    parser.add_argument("--sampling-steps", type=int, help="of restoring; the family's own, if it is left out")
    parser.add_argument("--precision", choices=["float32", "bf16"], default=TuneSettings().precision)
    parser.add_argument("--device")
    given = parser.parse_args()
    given.cases = given.cases or [Case(), Case("vico"), Case("dreambooth")]
    ladder = Ladder(given)
    files: dict[str, list[Path | None]] = {BASE: [None] * len(ladder.targets)}
    for case in given.cases:
        files[str(case)] = [ladder.learn(case, target) for target in ladder.targets]
    first = files[str(given.cases[0])]
    files[SWAPPED] = [*first[1:], *first[:1]]
    for preset in given.presets or ["medium", "heavy"]:
        report(ladder, preset, files)


if __name__ == "__main__":
    main()
