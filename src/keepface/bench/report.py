"""Results to a report in Markdown: a table of means a preset, and the differences that matter with their intervals."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from keepface.bench.results import Result, write_aside
from keepface.bench.suite import BenchSettings, Suite
from keepface.metrics.statistics import paired_bootstrap
from keepface.metrics.table import METRICS

Grids = Mapping[str, tuple[Path, tuple[str, ...]]]


def write_report(out: Path, suite: Suite, settings: BenchSettings, results: Sequence[Result], grids: Grids) -> Path:
    """Write `report.md` into a run's folder and return its path."""
    parts = [_head(suite, settings, results)]
    for preset in suite.presets:
        chosen = [result for result in results if result.preset == preset]
        parts += [f"## {preset}", means_table(suite, settings.metrics, chosen), _not_measured(chosen)]
        parts += ["Differences of paired pictures, mean and 95 % interval:", differences_table(suite, settings, chosen)]
        if preset in grids:
            path, columns = grids[preset]
            parts += [f"![{preset}]({path.name})", f"Columns, left to right: {', '.join(columns)}."]
    path = out / "report.md"
    write_aside(path, "\n\n".join(part for part in parts if part) + "\n")
    return path


def means_table(suite: Suite, metrics: Sequence[str], results: Sequence[Result]) -> str:
    """Return one line a row: pictures, the mean of every metric, pictures without a face found, seconds a face."""
    lines = [_line(["row", "n", *(_heading(name) for name in metrics), "no face found", "s / face"])]
    lines.append(_line(["---", *["---:"] * (len(metrics) + 3)]))
    for row in suite.rows:
        chosen = [result for result in results if result.row == row.name and not result.note]
        if not chosen:
            lines.append(_line([row.name, "0", *["not measured"] * len(metrics), "", ""]))
            continue
        means = [_number(_mean([result.values[name] for result in chosen])) for name in metrics]
        flagged = str(sum(bool(result.flagged) for result in chosen))
        lines.append(_line([row.name, str(len(chosen)), *means, flagged, f"{_mean([r.seconds for r in chosen]):.2f}"]))
    return "\n".join(lines)


def differences_table(suite: Suite, settings: BenchSettings, results: Sequence[Result]) -> str:
    """Return one line a comparison: the mean of a - b over the people who have both, with its 95 % interval.

    An interval without zero is set in bold.
    """
    metrics = settings.metrics
    lines = [_line(["difference", "n", *(_heading(name) for name in metrics)])]
    lines.append(_line(["---", *["---:"] * (len(metrics) + 1)]))
    for a, b in suite.comparisons:
        first, second = _by_person(results, a), _by_person(results, b)
        people = sorted(first.keys() & second.keys())
        cells = []
        for name in metrics:
            pairs = [(first[person].values[name], second[person].values[name]) for person in people]
            cells.append(_interval(pairs, settings))
        lines.append(_line([f"{a} − {b}", str(len(people)), *cells]))
    return "\n".join(lines)


def _head(suite: Suite, settings: BenchSettings, results: Sequence[Result]) -> str:
    people = len({result.person for result in results})
    lines = [
        f"# Suite {suite.name}: {settings.method} on the {settings.family} family",
        "",
        f"{people} people, one photo each; the same degraded picture and the same start noise in every row of a table. "
        f"Seed {settings.seed}, {settings.restore.steps} steps, {settings.restore.sampler}. An arrow says which way is "
        f"better. Intervals: paired bootstrap over people, {settings.resamples} resamples; bold where zero is outside. "
        "A row with a smaller n is of fewer people: compare rows by the table of differences. "
        "The settings are in suite.json, every picture's values in results.csv.",
        "",
        *(f"* {row.name}: {row.meaning}" for row in suite.rows),
        "",
        *(f"* {name}: {_explain(name)}" for name in settings.metrics),
    ]
    return "\n".join(lines)


def _explain(name: str) -> str:
    metric = METRICS[name]
    low, high = metric.range
    return f"{metric.source}; {low:g} to {high:g}{' ' + metric.unit if metric.unit else ''}"


def _heading(name: str) -> str:
    metric = METRICS[name]
    return f"{name}{' (' + metric.unit + ')' if metric.unit else ''} {'↑' if metric.higher_is_better else '↓'}"


def _not_measured(results: Sequence[Result]) -> str:
    reasons = Counter((result.row, result.note) for result in results if result.note)
    return "\n".join(f"* not measured: {row}, {count} people: {reason}" for (row, reason), count in reasons.items())


def _by_person(results: Sequence[Result], row: str) -> dict[str, Result]:
    return {result.person: result for result in results if result.row == row and not result.note}


def _interval(pairs: Sequence[tuple[float, float]], settings: BenchSettings) -> str:
    if len(pairs) < 2:
        return "too few"
    unbounded = sum(not all(map(math.isfinite, pair)) for pair in pairs)
    if unbounded:
        return f"not finite in {unbounded}"
    a, b = zip(*pairs, strict=True)
    found = paired_bootstrap(a, b, settings.seed, settings.resamples)
    text = f"{_number(found.mean, signed=True)} [{_number(found.low, signed=True)}, {_number(found.high, signed=True)}]"
    return f"**{text}**" if found.excludes_zero else text


def _number(value: float, *, signed: bool = False) -> str:
    places = 2 if abs(value) >= 10 else 3 if abs(value) >= 0.1 else 4
    return f"{value:+.{places}f}" if signed else f"{value:.{places}f}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
