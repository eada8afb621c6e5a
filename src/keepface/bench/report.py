"""Results to a report: a table of means a preset, the differences that matter with their intervals, what is missing.

The same blocks become `report.md` and `report.html`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keepface.bench.document import Block, Bullets, Heading, Image, Table, Text, to_html, to_markdown
from keepface.bench.groups import Group
from keepface.bench.lines import Line
from keepface.bench.published import PublishedTable, published_tables
from keepface.bench.results import Result, write_aside
from keepface.bench.sets import Variance
from keepface.bench.settings import BenchSettings
from keepface.bench.suite import Suite
from keepface.data.shards import LeftOut
from keepface.metrics.statistics import paired_bootstrap
from keepface.metrics.table import METRICS, SET_METRICS

Grids = Mapping[str, tuple[Path, tuple[str, ...]]]
PUBLISHED_TITLE = "As published (other data, other networks: not comparable)"
LEFT_OUT_SHOWN = 20


@dataclass(frozen=True)
class Findings:
    """Everything that a report tells."""

    suite: Suite
    settings: BenchSettings
    lines: Sequence[Line]
    pairs: Sequence[tuple[str, str]]  # of lines, whose differences are told
    results: Sequence[Result]
    size: int  # px of the squares measured
    grids: Grids = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)  # preset, metric, line
    variances: Mapping[str, Mapping[str, Mapping[str, Variance]]] = field(
        default_factory=dict
    )  # preset, system, person
    missing: Mapping[str, str] = field(default_factory=dict)  # metrics that can't be measured, and why
    broken: Mapping[str, str] = field(default_factory=dict)  # lines whose networks can't be loaded, and why
    left_out: Sequence[LeftOut] = ()  # photos
    groups: Sequence[Group] = ()  # of people, told by themselves too

    def of(self, group: Group) -> "Findings":
        """Return what is told of a group: values of pictures, not of whole rows."""
        results = [result for result in self.results if result.person in group.people]
        settings = replace(self.settings, metrics=self.settings.picture_metrics)
        return replace(self, results=results, settings=settings)


def write_report(out: Path, findings: Findings) -> Path:
    """Write `report.md` and `report.html` into a run's folder and return the first one's path."""
    blocks = report_blocks(findings)
    path = out / "report.md"
    write_aside(out / "report.html", to_html(blocks))
    write_aside(path, to_markdown(blocks))
    return path


def report_blocks(findings: Findings) -> list[Block]:
    """Return the report from top to bottom."""
    blocks = _head(findings)
    for preset in findings.suite.presets:
        chosen = [result for result in findings.results if result.preset == preset]
        blocks += [Heading(preset), means_table(findings, preset), _not_measured(findings, chosen)]
        blocks.append(Text("Differences of paired pictures, mean and 95 % interval:"))
        blocks.append(differences_table(findings.pairs, findings.settings, chosen))
        if preset in findings.variances:
            blocks.append(Text("Identity Variance: one low picture and seed, led by each of four photos alone."))
            blocks.append(variance_table(findings.variances[preset], findings.settings))
        if preset in findings.grids:
            path, columns = findings.grids[preset]
            blocks += [Image(path, preset), Text(f"Columns, left to right: {', '.join(columns)}.")]
        for group in findings.groups:
            blocks += _group(findings.of(group), group, preset)
    return blocks + _published(findings.settings)


def _group(findings: Findings, group: Group, preset: str) -> list[Block]:
    chosen = [result for result in findings.results if result.preset == preset]
    title = Heading(f"{preset}, {group.name}: {len(group.people)} people", 3)
    differences = differences_table(findings.pairs, findings.settings, chosen)
    return [title, means_table(findings, preset), differences]


def means_table(findings: Findings, preset: str) -> Table:
    """Return a line a row: pictures, the mean of every metric, pictures without a face found, seconds, memory."""
    settings = findings.settings
    metrics, sets = settings.picture_metrics, settings.set_metrics
    head = ("row", "n", *(_heading(name) for name in metrics), *(f"{name} ↓" for name in sets))
    rows = []
    for line in findings.lines:
        chosen = [r for r in findings.results if (r.preset, r.row) == (preset, line.name) and not r.note]
        if not chosen:
            blank = ["not measured"] * (len(metrics) + len(sets))
            rows.append((line.name, "0", *blank, "", "", ""))
            continue
        means = [_mean_cell([result.values.get(name, math.nan) for result in chosen]) for name in metrics]
        of_sets = [findings.sets.get(preset, {}).get(name, {}).get(line.name, math.nan) for name in sets]
        flagged = str(sum(bool(result.flagged) for result in chosen))
        peak = max((r.peak_mib for r in chosen if math.isfinite(r.peak_mib)), default=math.nan)
        seconds = f"{sum(r.seconds for r in chosen) / len(chosen):.2f}"
        cells = (str(len(chosen)), *means, *(_number(value) for value in of_sets), flagged, seconds)
        rows.append((line.name, *cells, "–" if math.isnan(peak) else f"{peak:.0f}"))
    return Table((*head, "no face found", "s / face", "peak MiB"), tuple(rows))


def differences_table(pairs: Sequence[tuple[str, str]], settings: BenchSettings, results: Sequence[Result]) -> Table:
    """Return a line a comparison: the mean of a - b over the people who have both, with its 95 % interval.

    An interval without zero is set in bold.
    """
    metrics = settings.picture_metrics
    rows = []
    for a, b in pairs:
        first, second = _by_person(results, a), _by_person(results, b)
        people = sorted(first.keys() & second.keys())
        cells = []
        for name in metrics:
            values = [(first[person].values.get(name), second[person].values.get(name)) for person in people]
            cells.append(_interval([(x, y) for x, y in values if x is not None and y is not None], settings))
        rows.append((f"{a} − {b}", str(len(people)), *cells))
    return Table(("difference", "n", *(_heading(name) for name in metrics)), tuple(rows))


def variance_table(systems: Mapping[str, Mapping[str, Variance]], settings: BenchSettings) -> Table:
    """Return Identity Variance a system, then its differences between systems, with 95 % intervals over people."""
    head = ("system", "n", "I.V., total variance (0 to 1) ↓", "I.V., mean pairwise distance (0 to 2) ↓")
    rows = []
    for title, people in systems.items():
        cells = [
            _interval([(getattr(one, name), 0.0) for one in people.values()], settings, is_mean=True) for name in _FORMS
        ]
        rows.append((title, str(len(people)), *cells))
    titles = list(systems)
    for place, later in enumerate(titles):
        for earlier in titles[:place]:
            both = sorted(systems[later].keys() & systems[earlier].keys())
            pairs = {
                name: [(getattr(systems[later][p], name), getattr(systems[earlier][p], name)) for p in both]
                for name in _FORMS
            }
            rows.append(
                (f"{later} − {earlier}", str(len(both)), *(_interval(pairs[name], settings) for name in _FORMS))
            )
    return Table(head, tuple(rows))


_FORMS = ("total", "pairwise")
_STEPS = "each family's own number of"


def _head(findings: Findings) -> list[Block]:
    suite, settings, restore = findings.suite, findings.settings, findings.settings.restore
    people = len({result.person for result in findings.results})
    cleaned = {None: "", True: ", low pictures cleaned first", False: ", low pictures not cleaned"}[restore.clean]
    own = {name: getattr(restore, name) for name in ("guidance", "temperature", "fidelity")}
    chosen = "".join(f", {name} {value:g}" for name, value in own.items() if value is not None)
    damage = f", degraded as hard on the face as squares of {settings.damage_px} px" if settings.damage_px else ""
    asked = (
        f"{people} people, one photo each, squares of {findings.size} px{damage}; the same degraded picture and the "
        f"same start noise in every row of a table. Seed {settings.seed}, {restore.steps or _STEPS} steps, "
        f"{restore.sampler}{chosen}{cleaned}. An arrow says which way is better. "
        f"Intervals: paired bootstrap over people, {settings.resamples} resamples; bold where "
        "zero is outside. A row with a smaller n is of fewer people: compare rows by the table of differences. A "
        "number in brackets counts the pictures of a mean that are fewer than n. Seconds are a face's share of its "
        "batch, references already embedded; the peak of memory is a batch's, of the process or on CUDA of torch. "
        "The settings are in suite.json, the networks in systems.json, every picture's values in results.csv."
    )
    meanings = dict.fromkeys(f"{line.row.name}: {line.row.meaning}" for line in findings.lines)
    unasked = [name for name in (*METRICS, *SET_METRICS) if name not in settings.metrics]
    notes = [f"{name} can't be measured: {reason}" for name, reason in findings.missing.items()]
    if unasked:
        notes.append(f"not asked for: {', '.join(unasked)} (--metric NAME)")
    notes += [f"left out: {item.origin}: {item.reason}" for item in findings.left_out[:LEFT_OUT_SHOWN]]
    if len(findings.left_out) > LEFT_OUT_SHOWN:
        notes.append(f"left out: {len(findings.left_out) - LEFT_OUT_SHOWN} photos more")
    title = f"Suite {suite.name}: {', '.join(settings.methods)} on the {', '.join(settings.families)} family"
    return [
        Heading(title, 1),
        Text(f"What it asks: {suite.meaning}."),
        Text(asked),
        Bullets(tuple(meanings)),
        Bullets(tuple(f"{group.name}: {group.meaning}" for group in findings.groups)),
        Bullets(tuple(f"{name}: {_explain(name)}" for name in settings.metrics)),
        Bullets(tuple(notes)),
    ]


def _explain(name: str) -> str:
    metric = METRICS[name] if name in METRICS else SET_METRICS[name]
    unit = METRICS[name].unit if name in METRICS else ""
    low, high = metric.range
    terms = f"; licence: {metric.licence}" if metric.licence else ""
    return f"{metric.source}; {low:g} to {high:g}{' ' + unit if unit else ''}{terms}"


def _heading(name: str) -> str:
    metric = METRICS[name]
    return f"{name}{' (' + metric.unit + ')' if metric.unit else ''} {'↑' if metric.higher_is_better else '↓'}"


def _not_measured(findings: Findings, results: Sequence[Result]) -> Bullets:
    reasons = Counter((result.row, result.note) for result in results if result.note)
    items = [f"not measured: {row}, {count} people: {reason}" for (row, reason), count in reasons.items()]
    rows: dict[str, list[str]] = {}
    for row, reason in findings.broken.items():
        rows.setdefault(reason, []).append(row)
    items += [f"not measured: {'; '.join(names)}: {reason}" for reason, names in rows.items()]
    return Bullets(tuple(items))


def _published(settings: BenchSettings) -> list[Block]:
    tables = [table for table in published_tables() if table.method in settings.methods]
    if not tables:
        return []
    blocks: list[Block] = [Heading(PUBLISHED_TITLE)]
    for table in tables:
        blocks += [Text(_caption(table)), Table(table.columns, table.rows)]
    return blocks


def _caption(table: PublishedTable) -> str:
    return f"{table.paper}, {table.table}: {table.about}."


def _by_person(results: Sequence[Result], row: str) -> dict[str, Result]:
    return {result.person: result for result in results if result.row == row and not result.note}


def _interval(pairs: Sequence[tuple[float, float]], settings: BenchSettings, is_mean: bool = False) -> str:
    if len(pairs) < 2:
        return "too few"
    unbounded = sum(not all(map(math.isfinite, pair)) for pair in pairs)
    if unbounded:
        return f"not finite in {unbounded}"
    a, b = zip(*pairs, strict=True)
    found = paired_bootstrap(a, b, settings.seed, settings.resamples)
    low, mean, high = (_number(value, signed=not is_mean) for value in (found.low, found.mean, found.high))
    text = f"{mean} [{low}, {high}]"
    return f"**{text}**" if found.excludes_zero and not is_mean else text


def _mean_cell(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "–"
    text = _number(sum(known) / len(known))
    return text if len(known) == len(values) else f"{text} ({len(known)})"


def _number(value: float, *, signed: bool = False) -> str:
    if math.isnan(value):
        return "–"
    places = 2 if abs(value) >= 10 else 3 if abs(value) >= 0.1 else 4
    return f"{value:+.{places}f}" if signed else f"{value:.{places}f}"
