"""How a suite is run."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from keepface.bench.suite import Suite
from keepface.degrade.chains import PRESETS
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError
from keepface.methods import method_names
from keepface.metrics.table import DEFAULT_METRICS, SET_METRICS
from keepface.metrics.table import METRICS as PICTURE_METRICS

# Settings that leave each picture's result as it is; families, methods and blind restorers have cards of their own.
FREE = ("presets", "rows", "limit", "batch", "device", "pictures", "resamples", "families", "methods", "blind")


@dataclass(frozen=True)
class Blind:
    """A restorer without references that a user brings as a file of weights."""

    name: str
    path: str


@dataclass(frozen=True)
class BenchSettings:
    """How a suite is run; what changes results is kept beside them, so that no table mixes two settings."""

    families: tuple[str, ...] = ("compact",)
    methods: tuple[str, ...] = ("faceme",)
    blind: tuple[Blind, ...] = ()
    device: str | None = None
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    metrics: tuple[str, ...] = ()  # none: those of the suite
    damage_px: int | None = None  # degrade as hard on the face as in a square of this side; 0: as in the square's own
    size: int | None = None  # px of the squares that are measured; `None` is the first family's
    seed: int = 0  # of the degradations, the start noise and the bootstrap
    resamples: int = 2000  # of the bootstrap
    presets: tuple[str, ...] = ()  # degradations, one table each; none: those of the suite
    rows: tuple[str, ...] = ()  # of the suite, beside the input; none: all
    limit: int | None = None  # the first so many people; `None` takes all
    pictures: int = 6  # people shown in each grid
    batch: int = 4  # faces restored together

    def __post_init__(self) -> None:
        known = [*PICTURE_METRICS, *SET_METRICS]
        for what, given, names in (
            ("metric", self.metrics, known),
            ("method", self.methods, list(method_names())),
            ("preset", self.presets, list(PRESETS)),
        ):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise RecipeError(f"bench: unknown {what} {unknown[0]!r}; known {what}s: {', '.join(names)}")
        for name, floor in (
            ("limit", 1),
            ("batch", 1),
            ("resamples", 1),
            ("pictures", 0),
            ("size", 16),
            ("damage_px", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < floor:
                raise RecipeError(f"bench: {name} is {value}; it must be {floor} or more")
        for what, several in (
            ("method", self.methods),
            ("preset", self.presets),
            ("family", self.families),
            ("blind restorer", [item.name for item in self.blind]),
        ):
            if len(set(several)) < len(several):
                raise RecipeError(f"bench: a {what} is named twice: {', '.join(several)}")
        if not (self.families and self.methods):
            raise RecipeError("bench: name at least one family and one method")

    def of(self, suite: Suite) -> "BenchSettings":
        """Return the settings with the suite's own metrics and side of damage where these leave them open."""
        damage_px = suite.damage_px if self.damage_px is None else self.damage_px
        return replace(self, metrics=self.metrics or suite.metrics or DEFAULT_METRICS, damage_px=damage_px or None)

    @property
    def picture_metrics(self) -> tuple[str, ...]:
        """Return the metrics that have one value a picture."""
        return tuple(name for name in self.metrics if name in PICTURE_METRICS)

    @property
    def set_metrics(self) -> tuple[str, ...]:
        """Return the metrics that have one value a row."""
        return tuple(name for name in self.metrics if name in SET_METRICS)


def parse_blind(text: str) -> Blind:
    """Read `NAME=FILE.safetensors` as the command line has it.

    Raises:
        RecipeError: it is not so written.
    """
    name, equals, path = text.partition("=")
    if not (equals and name.strip() and path):
        raise RecipeError(
            f"bench: --blind {text}: write it as NAME=FILE.safetensors, such as GFPGAN=gfpgan.safetensors"
        )
    return Blind(name.strip(), str(Path(path).expanduser()))
