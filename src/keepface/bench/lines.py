"""The lines of a run's tables: a suite's rows for every system, a system being a method over a family."""

from dataclasses import dataclass
from pathlib import Path

from keepface.bench.settings import BenchSettings, Blind
from keepface.bench.suite import Row, Suite
from keepface.methods import ONE_PASS, title_of


@dataclass(frozen=True)
class System:
    """A method over a family; `label` is empty when a run has only one."""

    label: str
    family: str
    method: str


@dataclass(frozen=True)
class Line:
    """One line of a table: a row of the suite as one system makes it; `None`: no system is asked."""

    name: str
    row: Row
    system: System | Blind | None


def systems(settings: BenchSettings) -> tuple[System, ...]:
    """Return every method over every family."""
    pairs = [(family, method) for method in settings.methods for family in settings.families]
    if len(pairs) == 1:
        return (System("", *pairs[0]),)
    several = len(settings.families) > 1
    return tuple(
        System(title_of(method) + (f" on {_short(family, settings)}" if several else ""), family, method)
        for family, method in pairs
    )


def lines(suite: Suite, settings: BenchSettings) -> tuple[Line, ...]:
    """Return the lines of each table, from top to bottom."""
    found = [Line(row.name, row, None) for row in suite.rows if row.how == "copy"]
    families_seen: set[str] = set()
    for system in systems(settings):
        for row in suite.rows:
            has_none = system.family in families_seen or system.method in ONE_PASS
            if row.how == "copy" or (row.how == "round trip" and has_none):
                continue
            found.append(Line(_name(system, row, settings), row, system))
        if system.method not in ONE_PASS:
            families_seen.add(system.family)
    for blind in settings.blind:
        row = Row(f"{blind.name} (blind)", f"restored without references by {Path(blind.path).name}", how="blind")
        found.append(Line(row.name, row, blind))
    return tuple(found)


def comparisons(suite: Suite, settings: BenchSettings) -> list[tuple[str, str]]:
    """Return the pairs of lines whose differences are told: within a system, between systems, against the blind."""
    rows = {row.name: row for row in suite.rows}
    pairs = []
    everyone = systems(settings)
    for system in everyone:
        for pair in suite.comparisons:
            first, second = (_name(system, rows[name], settings) for name in pair)
            pairs.append((first, second))
    for place, later in enumerate(everyone):
        for earlier in everyone[:place]:
            pairs += [tuple(_name(one, rows[name], settings) for one in (later, earlier)) for name in suite.contrasts]  # type: ignore[misc]
    for blind in settings.blind:
        name = f"{blind.name} (blind)"
        pairs.append((name, "input"))
        compared = dict.fromkeys((*suite.contrasts[:1], *suite.contrasts[-1:]))
        pairs += [(_name(system, rows[row], settings), name) for system in everyone for row in compared]
    return pairs


def varied(suite: Suite, settings: BenchSettings) -> dict[str, tuple[str, ...]]:
    """Return, for each system, the lines that Identity Variance is over."""
    rows = [row for row in suite.rows if row.name in suite.varied]
    titles = {system: system.label or title_of(system.method) for system in systems(settings)}
    return {title: tuple(_name(system, row, settings) for row in rows) for system, title in titles.items()}


def _name(system: System, row: Row, settings: BenchSettings) -> str:
    if row.how == "copy" or not system.label:
        return row.name
    if row.how == "round trip":
        return row.name if len(settings.families) == 1 else f"{row.name} on {_short(system.family, settings)}"
    return f"{system.label}, {row.name}"


def _short(family: str, settings: BenchSettings) -> str:
    """Return a family's name without its folders, where that tells it from the others."""
    names = [Path(other).name for other in settings.families]
    name = Path(family).name
    return name if names.count(name) == 1 else family
