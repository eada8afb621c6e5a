"""Run a suite: make every target's picture on every line, measure, keep each result; a stopped run goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.allocator import keep_freed_memory
from keepface.bench.features import Vectors
from keepface.bench.groups import groups
from keepface.bench.instruments import load_instruments
from keepface.bench.lines import Line, System, comparisons, lines, systems, varied
from keepface.bench.makers import Batch, BlindMaker, CopyMaker, Load, Maker, SquareRestorer, SystemMaker
from keepface.bench.photos import Photos, damaged, degradation, open_photos
from keepface.bench.pictures import Pictures
from keepface.bench.plan import Target, plan
from keepface.bench.report import Findings, write_report
from keepface.bench.results import FAILED, Journal, Result, keep_cards, keep_settings
from keepface.bench.sets import EFFNET, FID, TRUTH, Variance, effnet_distances, fid_distances, variances
from keepface.bench.settings import FREE, BenchSettings, Blind
from keepface.bench.suite import Suite, find_suite
from keepface.config import to_dict
from keepface.engine.restorer import Restorer
from keepface.errors import DataError, KeepfaceError, RecipeError
from keepface.identity.embed import square_face
from keepface.identity.image_encoder import INPUT_PX, POOLED_DIM
from keepface.image.size import resize
from keepface.metrics.redegraded import Damage
from keepface.metrics.table import METRICS, Instruments, unavailable
from keepface.seeds import derive

Progress = Callable[[int, int], None]  # pictures done, pictures in all


@dataclass(frozen=True)
class Outcome:
    """What a run did; counts are pictures."""

    report: Path
    measured: int  # or tried, by this run
    kept: int  # from an earlier run
    not_measured: int  # of all; each has its reason in the report


def run_suite(suite: str, data: Path, out: Path, settings: BenchSettings, progress: Progress | None = None) -> Outcome:
    """Measure a suite on the photos in `data` and write CSV, report and picture grids to `out`.

    Results that are in `out` already are not measured again.

    Raises:
        RecipeError: the suite is unknown, or a preset of it can't be told for another side of squares.
        DataError: the data can't be used, or `out` holds results of other settings.
        KeepfaceError: of all systems and blind restorers none can be loaded.
    """
    chosen = find_suite(suite)
    photos = open_photos(data)

    def load(system: System) -> SquareRestorer:
        return Restorer.from_pretrained(system.family, system.method, settings.device)

    return measure(chosen, photos, out, settings, load, progress)


def measure(
    suite: Suite,
    photos: Photos,
    out: Path,
    settings: BenchSettings,
    load: Load,
    progress: Progress | None = None,
) -> Outcome:
    """Measure a suite on opened photos by restorers that `load` loads, one at a time; see `run_suite`."""
    keep_freed_memory()
    suite, settings = suite.under(settings.presets).only(settings.rows), settings.of(suite)
    targets = plan(photos.identities, photos.native_px, settings.limit, suite.others)
    run = _Run(suite, photos, out, settings, load)
    total = len(suite.presets) * len(run.lines) * len(targets)
    done = {result.key for result in run.journal.read() if result.is_final}
    kept = count = written = 0
    for owner, owned in run.groups():
        waiting = [
            (
                preset,
                line,
                [(place, one) for place, one in enumerate(targets) if (preset, line.name, one.person) not in done],
            )
            for preset in suite.presets
            for line in owned
        ]
        here = sum(len(placed) for _, _, placed in waiting)
        kept += len(waiting) * len(targets) - here
        count += len(waiting) * len(targets) - here
        maker = run.maker(owner) if here else None
        if maker is None:
            count += here
            if here and progress:
                progress(count, total)
            continue
        for preset, line, placed in waiting:
            for results in run.results(maker, preset, line, placed):
                run.journal.append(results)
                count, written = count + len(results), written + len(results)
                if progress:
                    progress(count, total)
    findings = run.findings(targets)
    missing = total - sum(not result.note for result in findings.results)
    return Outcome(write_report(out, findings), written, kept, missing)


class _Run:
    """The parts of one run; the networks of one system are in memory at a time."""

    def __init__(self, suite: Suite, photos: Photos, out: Path, settings: BenchSettings, load: Load) -> None:
        self.suite, self.photos, self.out, self.settings, self._load = suite, photos, out, settings, load
        self.lines = lines(suite, settings)
        self.broken: dict[System | Blind, str] = {}
        self._current: tuple[System, SquareRestorer] | None = None
        self.size = settings.size or self._first_size()
        for preset in suite.presets:
            degradation(preset, self.size, settings.damage_px)  # refused here, before anything is made
        out.mkdir(parents=True, exist_ok=True)
        self.missing = unavailable(settings.picture_metrics)
        self.measured = tuple(name for name in settings.picture_metrics if name not in self.missing)
        asked = {name: value for name, value in to_dict(settings).items() if name not in FREE}
        keep_settings(out, {"suite": suite.name, **asked, "size": self.size, "measured": self.measured})
        self.journal = Journal(out, settings.picture_metrics)
        self.pictures = Pictures(out, settings.pictures, keeps_all=FID in settings.set_metrics)
        self._pooled = Vectors(out / "features-effnet.bin", POOLED_DIM)
        self._instruments: Instruments | None = None

    def groups(self) -> Iterator[tuple[System | Blind | None, list[Line]]]:
        """Go through the lines by who makes them."""
        owners = dict.fromkeys(line.system for line in self.lines)
        for owner in owners:
            yield owner, [line for line in self.lines if line.system == owner]

    def maker(self, owner: System | Blind | None) -> Maker | None:
        """Load who makes the pictures, or remember why that can't be."""
        try:
            maker = self._maker(owner)
        except KeepfaceError as reason:
            if isinstance(reason, RecipeError) or owner is None:
                raise
            self.broken[owner] = str(reason)
            return None
        if owner is not None:
            names = [line.name for line in self.lines if line.system == owner]
            keep_cards(self.out, dict.fromkeys(names, maker.card))
        return maker

    def results(
        self, maker: Maker, preset: str, line: Line, placed: Sequence[tuple[int, Target]]
    ) -> Iterator[list[Result]]:
        """Make and measure the waiting targets, batch by batch; what can't be made comes first."""
        ready: list[tuple[int, Target]] = []
        for place, target in placed:
            try:
                maker.leaders(line.row, target)
            except DataError as reason:
                yield [_failure(preset, line, target, str(reason))]
            else:
                ready.append((place, target))
        for start in range(0, len(ready), self.settings.batch):
            part = ready[start : start + self.settings.batch]
            try:
                yield self._batch(maker, preset, line, part)
            except (KeepfaceError, RuntimeError, MemoryError) as error:
                text = str(error).splitlines()[0] if str(error) else type(error).__name__
                yield [_failure(preset, line, target, FAILED + text) for _, target in part]

    def findings(self, targets: Sequence[Target]) -> Findings:
        """Gather what the report tells."""
        people, names = [target.person for target in targets], {line.name for line in self.lines}
        wanted = {(preset, name, person) for preset in self.suite.presets for name in names for person in people}
        results = [result for result in self.journal.read() if result.key in wanted]
        sets, missing = self._sets(results, targets)
        variance = {preset: self._variances(preset, people) for preset in self.suite.presets if self.suite.varied}
        return Findings(
            suite=self.suite,
            settings=self.settings,
            lines=self.lines,
            pairs=comparisons(self.suite, self.settings),
            results=results,
            size=self.size,
            grids=self.pictures.grids(self.suite.presets, self.lines, targets, self._square),
            sets=sets,
            variances=variance,
            missing={**self.missing, **missing},
            broken={line.name: self.broken[line.system] for line in self.lines if line.system in self.broken},
            left_out=self.photos.left_out,
            groups=groups(self.photos, targets) if self.suite.is_grouped else (),
        )

    def _maker(self, owner: System | Blind | None) -> Maker:
        if owner is None:
            return CopyMaker()
        if isinstance(owner, Blind):
            self._current = None
            return BlindMaker(owner, self.settings.device)
        return SystemMaker(self._restorer(owner), self.photos, self.settings)

    def _restorer(self, system: System) -> SquareRestorer:
        if self._current is None or self._current[0] != system:
            self._current = None  # the old one's memory first
            self._current = system, self._load(system)
        return self._current[1]

    def _first_size(self) -> int:
        """Return the size of the first system that can be loaded."""
        first: KeepfaceError | None = None
        for system in systems(self.settings):
            try:
                return self._restorer(system).size
            except RecipeError:
                raise
            except KeepfaceError as error:
                first = first or error
        raise first or RecipeError("bench: no system is named")

    def _square(self, index: int) -> Float[Tensor, "3 s s"]:
        return self.photos.square(index, self.size)

    def _damage(self, preset: str, target: Target) -> Damage:
        """Degrade the target by the preset: the same picture on every line."""
        truth = self._square(target.photo)
        return damaged(truth, preset, target.person, self.settings.seed, self.settings.damage_px)

    def _batch(self, maker: Maker, preset: str, line: Line, placed: Sequence[tuple[int, Target]]) -> list[Result]:
        targets = [target for _, target in placed]
        seeds = [derive(self.settings.seed, "bench", preset, target.person, "noise") for target in targets]
        truths = [self._square(target.photo) for target in targets]
        damages = [self._damage(preset, target) for target in targets]
        lows = torch.stack([damage.low for damage in damages])
        made = maker.make(Batch(line.row, targets, lows, torch.stack(truths), seeds))
        results = []
        told = zip(placed, seeds, made.pictures, truths, damages, strict=True)
        for (place, target), seed, drawn, truth, damage in told:
            if not bool(drawn.isfinite().all()):
                results.append(
                    _failure(preset, line, target, FAILED + "the picture made holds values that are no numbers")
                )
                continue
            picture = drawn.float().cpu().clamp(0, 1)
            self.pictures.keep(preset, line.name, place, picture)
            if FID in self.settings.set_metrics:
                self.pictures.keep(TRUTH, TRUTH, place, truth)
            values, flagged = self._measure(picture, truth, damage)
            self._keep_vectors(preset, line, target, picture)
            led_by = maker.leaders(line.row, target)
            kept = (preset, line.name, target.person, target.photo, led_by, seed, made.seconds, flagged, "", values)
            results.append(Result(*kept, peak_mib=made.peak_mib))
        return results

    def _measure(
        self, restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"], damage: Damage
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        instruments = replace(self.instruments, damage=damage)
        measured = {name: METRICS[name].function(restored, truth, instruments) for name in self.measured}
        values = {name: item.value for name, item in measured.items()}
        return values, tuple(name for name, item in measured.items() if item.is_flagged)

    @property
    def instruments(self) -> Instruments:
        """Load what metrics look through, at first use."""
        self._instruments = self._instruments or load_instruments(self.measured)
        return self._instruments

    def _keep_vectors(self, preset: str, line: Line, target: Target, picture: Float[Tensor, "3 s s"]) -> None:
        if EFFNET in self.settings.set_metrics:
            self._keep_pooled((preset, line.name, target.person), picture)
        if line.row.name in self.suite.varied:
            face = square_face(picture, self.instruments.detector).face
            embedded = self.instruments.judge.embed(picture, face).numpy()
            self._judged.append((preset, line.name, target.person), embedded)

    @property
    def _judged(self) -> Vectors:
        return Vectors(self.out / "features-judge.bin", self.instruments.judge.dim)

    def _keep_pooled(self, key: tuple[str, ...], picture: Float[Tensor, "3 s s"]) -> None:
        small = resize(picture, (INPUT_PX, INPUT_PX), "bicubic")[None]
        with torch.no_grad():
            self._pooled.append(key, self.instruments.distance.encoder.pooled(small)[0].numpy())

    def _variances(self, preset: str, people: Sequence[str]) -> dict[str, dict[str, Variance]]:
        every = varied(self.suite, self.settings).items()
        return {title: variances(self._judged, preset, rows, people) for title, rows in every}

    def _sets(
        self, results: Sequence[Result], targets: Sequence[Target]
    ) -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, str]]:
        sets: dict[str, dict[str, dict[str, float]]] = {preset: {} for preset in self.suite.presets}
        missing: dict[str, str] = {}
        if EFFNET in self.settings.set_metrics:
            known = self._pooled.read([(TRUTH, target.person) for target in targets])
            for target in targets:
                if (TRUTH, target.person) not in known:
                    self._keep_pooled((TRUTH, target.person), self._square(target.photo))
        for preset in self.suite.presets:
            if EFFNET in self.settings.set_metrics:
                sets[preset][EFFNET] = effnet_distances(results, self._pooled, preset)
            if FID in self.settings.set_metrics and FID not in missing:
                folders = {line.name: self.pictures.folder(preset, line.name) for line in self.lines}
                sets[preset][FID], reason = fid_distances(folders, self.pictures.folder(TRUTH, TRUTH))
                missing |= {FID: reason} if reason else {}
        return sets, missing


def _failure(preset: str, line: Line, target: Target, note: str) -> Result:
    return Result(preset, line.name, target.person, target.photo, (), 0, 0.0, (), note, {})
