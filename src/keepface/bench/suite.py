"""What a suite measures: the rows of its tables, and which photo of which person each row restores, led by which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from keepface.data.identities import by_person
from keepface.engine.settings import RestoreSettings
from keepface.errors import DataError, RecipeError
from keepface.metrics.table import METRICS

MAX_REFERENCES = 4  # as many as FaceMe is trained and measured with


@dataclass(frozen=True)
class Row:
    """One row of a table: what makes its pictures, led by how many photos of whom."""

    name: str
    meaning: str
    how: Literal["copy", "round trip", "restore"] = "restore"
    references: int = 0
    whose: Literal["own", "stranger", "truth"] = "own"


ROWS = (
    Row("input", "the degraded picture, as it is given to every row below", how="copy"),
    Row("round trip", "the truth through the autoencoder: no row below can pass it by much", how="round trip"),
    Row("no references", "restored without identity"),
    Row("1 reference", "restored, led by one other photo of the person", references=1),
    Row("2 references", "restored, led by two", references=2),
    Row("3 references", "restored, led by three", references=3),
    Row("4 references", "restored, led by four", references=4),
    Row("wrong person", "restored, led by four photos of somebody else", references=4, whose="stranger"),
    Row("truth as reference", "restored, led by the clean photo itself", references=1, whose="truth"),
)

# (a, b): the tables tell the mean of a - b with its interval.
COMPARISONS = (
    ("no references", "input"),
    ("1 reference", "no references"),
    ("4 references", "no references"),
    ("4 references", "1 reference"),
    ("4 references", "wrong person"),
    ("truth as reference", "4 references"),
)


@dataclass(frozen=True)
class Suite:
    """A named set of tables, one a degradation preset."""

    name: str
    presets: tuple[str, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[tuple[str, str], ...]


SUITES = {"compact": Suite("compact", ("light", "medium", "heavy"), ROWS, COMPARISONS)}


@dataclass(frozen=True)
class BenchSettings:
    """How a suite is run; what changes results is kept beside them, so that no table mixes two settings."""

    family: str = "compact"
    method: str = "faceme"
    device: str | None = None
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    metrics: tuple[str, ...] = tuple(METRICS)
    seed: int = 0  # of the degradations, the start noise and the bootstrap
    resamples: int = 2000  # of the bootstrap
    limit: int | None = None  # the first so many people; `None` takes all
    pictures: int = 6  # people shown in each grid
    batch: int = 4  # faces restored together

    def __post_init__(self) -> None:
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown:
            raise RecipeError(f"bench: unknown metric {unknown[0]!r}; known metrics: {', '.join(METRICS)}")
        for name, floor in (("limit", 1), ("batch", 1), ("resamples", 1), ("pictures", 0)):
            value = getattr(self, name)
            if value is not None and value < floor:
                raise RecipeError(f"bench: {name} is {value}; it must be {floor} or more")


@dataclass(frozen=True)
class Target:
    """One photo to restore; numbers index the data's photos."""

    person: str
    photo: int
    references: tuple[int, ...]  # other photos of the person, at most four
    stranger: str | None  # who leads the wrong row; `None` when nobody has enough photos
    stranger_references: tuple[int, ...]


def find_suite(name: str) -> Suite:
    """Return the suite of that name.

    Raises:
        RecipeError: there is none.
    """
    if name not in SUITES:
        raise RecipeError(f"bench: unknown suite {name!r}; known suites: {', '.join(SUITES)}")
    return SUITES[name]


def plan(identities: Sequence[str], native_px: Sequence[float], limit: int | None = None) -> tuple[Target, ...]:
    """Choose one target a person, for people with two photos or more, in the order of their names.

    The target is the photo with the most real detail (`native_px`), the first of equals; the references are the
    person's other photos in the data's order. The stranger is the next person by name with four photos or more.
    Strangers are chosen before `limit` cuts, so a short run measures the same pictures as a long one.

    Raises:
        DataError: nobody has two photos.
    """
    people = {name: sorted(indices) for name, indices in sorted(by_person(identities).items()) if len(indices) > 1}
    if not people:
        raise DataError(f"bench: nobody among {len(identities)} photos has two; a reference must be another photo")
    names = list(people)
    targets = []
    for position, name in enumerate(names):
        photo = max(people[name], key=lambda index: (native_px[index], -index))
        others = tuple(index for index in people[name] if index != photo)[:MAX_REFERENCES]
        around = names[position + 1 :] + names[:position]
        stranger = next((other for other in around if len(people[other]) >= MAX_REFERENCES), None)
        theirs = tuple(people[stranger][:MAX_REFERENCES]) if stranger else ()
        targets.append(Target(name, photo, others, stranger, theirs))
    return tuple(targets[:limit])


def leaders(row: Row, target: Target) -> tuple[int, ...]:
    """Return the photos that lead a row.

    Raises:
        DataError: there are fewer than the row takes; the text is the reason that the report gives.
    """
    pool = {"own": target.references, "stranger": target.stranger_references, "truth": (target.photo,)}[row.whose]
    if len(pool) < row.references:
        if row.whose == "stranger":
            raise DataError(f"nobody else has {row.references} photos")
        raise DataError(f"the person has fewer than {row.references} other photos")
    return pool[: row.references]
