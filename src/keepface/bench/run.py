"""Run a suite: restore every target under every row, measure, keep each result; a stopped run goes on."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.instruments import load_instruments
from keepface.bench.photos import Photos, open_photos
from keepface.bench.pictures import Pictures
from keepface.bench.report import write_report
from keepface.bench.results import Journal, Result, keep_settings
from keepface.bench.suite import BenchSettings, Row, Suite, Target, find_suite, leaders, plan
from keepface.config import to_dict
from keepface.degrade.chains import PRESETS, draw_first_order, replay
from keepface.diffusion.family import FamilyCard
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import DataError
from keepface.identity.embed import IdentityFeatures
from keepface.metrics.table import METRICS, Instruments
from keepface.seeds import derive, numpy_generator

Progress = Callable[[int, int], None]  # pictures done, pictures in all
FREE = ("limit", "batch", "device", "pictures", "resamples")  # settings that leave each picture's result as it is


@runtime_checkable
class SquareEmbedder(Protocol):
    """What a suite asks of the restorer's embedder."""

    def embed_square(self, image: Float[Tensor, "3 s s"]) -> IdentityFeatures:
        """Return what one aligned square tells of its person."""
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """What a suite asks of the restorer's family."""

    @property
    def card(self) -> FamilyCard:
        """What there is to know of the family; results of two cards are never mixed."""
        ...

    def encode(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        """Return the pictures' latents."""
        ...

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 s s"]:
        """Return the latents' pictures."""
        ...


@runtime_checkable
class WithFamily(Protocol):
    """What a suite asks of the restorer's method."""

    @property
    def family(self) -> Autoencoder:
        """The networks it works with."""
        ...


@runtime_checkable
class SquareRestorer(Protocol):
    """What a suite asks of a restorer."""

    @property
    def size(self) -> int:
        """The side of the squares it restores, px."""
        ...

    @property
    def method(self) -> WithFamily:
        """The published system it restores by."""
        ...

    @property
    def embedder(self) -> SquareEmbedder:
        """What turns references into features."""
        ...

    def restore_squares(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
    ) -> Float[Tensor, "b 3 s s"]:
        """Restore aligned squares, each led by its own references."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a run did; counts are pictures."""

    report: Path
    measured: int
    kept: int  # measured by an earlier run
    not_measured: int  # each has its reason in results.csv and in the report


def run_suite(
    suite: str,
    data: Path,
    out: Path,
    settings: BenchSettings,
    restorer: SquareRestorer | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Measure a suite on the photos in `data` and write CSV, report and picture grids to `out`.

    Results that are in `out` already are not measured again. Without a `restorer` the one that the settings name
    is loaded.

    Raises:
        RecipeError: the suite is unknown.
        DataError: the data can't be used, or `out` holds results of other settings.
    """
    chosen = find_suite(suite)
    photos = open_photos(data)
    restorer = restorer or Restorer.from_pretrained(settings.family, settings.method, settings.device)
    return measure(chosen, photos, out, settings, restorer, progress)


def measure(
    suite: Suite,
    photos: Photos,
    out: Path,
    settings: BenchSettings,
    restorer: SquareRestorer,
    progress: Progress | None = None,
) -> Outcome:
    """Measure a suite on opened photos; see `run_suite`."""
    targets = plan(photos.identities, photos.native_px, settings.limit)
    out.mkdir(parents=True, exist_ok=True)
    kept_settings = {name: value for name, value in to_dict(settings).items() if name not in FREE}
    keep_settings(out, {"suite": suite.name, **kept_settings, "card": to_dict(restorer.method.family.card)})
    journal = Journal(out, settings.metrics)
    done = {result.key for result in journal.read()}
    bench = _Bench(photos, restorer, settings, Pictures(out, settings.pictures))
    total = len(suite.presets) * len(suite.rows) * len(targets)
    kept, count = 0, 0
    for preset in suite.presets:
        for row in suite.rows:
            waiting = [
                (place, target) for place, target in enumerate(targets) if (preset, row.name, target.person) not in done
            ]
            kept += len(targets) - len(waiting)
            count += len(targets) - len(waiting)
            for results in bench.results(preset, row, waiting):
                journal.append(results)
                count += len(results)
                if progress:
                    progress(count, total)
    people = {target.person for target in targets}
    results = [result for result in journal.read() if result.person in people]
    report = write_report(out, suite, settings, results, bench.pictures.grids(suite, targets, bench.square))
    missing = sum(bool(result.note) for result in results)
    return Outcome(report, total - kept, kept, missing)


class _Bench:
    """The parts of one run."""

    def __init__(self, photos: Photos, restorer: SquareRestorer, settings: BenchSettings, pictures: Pictures) -> None:
        self.photos, self.restorer, self.settings, self.pictures = photos, restorer, settings, pictures
        self._instruments: Instruments | None = None
        self._features: dict[int, IdentityFeatures] = {}

    def square(self, index: int) -> Float[Tensor, "3 s s"]:
        """Return one photo as the restorer's square."""
        return self.photos.square(index, self.restorer.size)

    def low(self, preset: str, target: Target) -> Float[Tensor, "3 s s"]:
        """Return the target as the preset degrades it: the same picture for every row."""
        rng = numpy_generator(self.settings.seed, "bench", preset, target.person)
        return replay(draw_first_order(PRESETS[preset], rng, self.restorer.size), self.square(target.photo))

    def results(self, preset: str, row: Row, waiting: Sequence[tuple[int, Target]]) -> Iterator[list[Result]]:
        """Restore and measure the waiting targets, batch by batch; what can't be measured comes first."""
        ready: list[tuple[int, Target]] = []
        for place, target in waiting:
            try:
                leaders(row, target)
            except DataError as reason:
                yield [Result(preset, row.name, target.person, target.photo, (), 0, 0.0, (), str(reason), {})]
            else:
                ready.append((place, target))
        for start in range(0, len(ready), self.settings.batch):
            yield self._batch(preset, row, ready[start : start + self.settings.batch])

    def _batch(self, preset: str, row: Row, placed: Sequence[tuple[int, Target]]) -> list[Result]:
        targets = [target for _, target in placed]
        seeds = [derive(self.settings.seed, "bench", preset, target.person, "noise") for target in targets]
        truths = [self.square(target.photo) for target in targets]
        lows = [self.low(preset, target) for target in targets]
        references = [[self._embed(index) for index in leaders(row, target)] for target in targets]
        start = time.perf_counter()
        if row.how == "copy":
            restored = torch.stack(lows)
        elif row.how == "round trip":
            family = self.restorer.method.family
            restored = family.decode(family.encode(torch.stack(truths)))
        else:
            restored = self.restorer.restore_squares(torch.stack(lows), references, self.settings.restore, seeds)
        seconds = (time.perf_counter() - start) / len(targets)
        results = []
        for (place, target), seed, picture, truth in zip(placed, seeds, restored.float().cpu(), truths, strict=True):
            self.pictures.keep(preset, row.name, place, picture)
            values, flagged = self._measure(picture.clamp(0, 1), truth)
            led_by = leaders(row, target)
            results.append(
                Result(preset, row.name, target.person, target.photo, led_by, seed, seconds, flagged, "", values)
            )
        return results

    def _embed(self, index: int) -> IdentityFeatures:
        if index not in self._features:
            self._features[index] = self.restorer.embedder.embed_square(self.square(index))
        return self._features[index]

    def _measure(
        self, restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"]
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        self._instruments = self._instruments or load_instruments()
        measured = {name: METRICS[name].function(restored, truth, self._instruments) for name in self.settings.metrics}
        values = {name: item.value for name, item in measured.items()}
        return values, tuple(name for name, item in measured.items() if item.is_flagged)
