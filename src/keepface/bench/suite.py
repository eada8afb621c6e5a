"""What a suite measures: the rows of its tables, each a way to restore one photo, and which rows are compared."""

from dataclasses import dataclass, replace
from typing import Literal

from keepface.errors import RecipeError

MAX_REFERENCES = 4  # as many as FaceMe is trained and measured with


@dataclass(frozen=True)
class Row:
    """One row of a table: what makes its pictures, led by how many photos of whom, in what state."""

    name: str
    meaning: str
    how: Literal["copy", "round trip", "restore", "blind"] = "restore"
    references: int = 0
    whose: Literal["own", "stranger", "truth"] = "own"
    fewest: int | None = None  # with how many of `references` the row is content; `None` asks for all
    first: int = 0  # of the person's other photos, which one the row's references begin with
    chosen: Literal["in order", "most alike", "least alike"] = "in order"  # to the target, in pose and mouth
    reference_px: tuple[int, int] | None = None  # side that references are shrunk to, as of 512 px, drawn between both


@dataclass(frozen=True)
class Suite:
    """A named set of tables, one a degradation preset."""

    name: str
    meaning: str
    presets: tuple[str, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[tuple[str, str], ...]  # (a, b): the tables tell the mean of a - b with its interval
    contrasts: tuple[str, ...]  # rows in which several systems are compared with each other
    others: int = 1  # photos that a person must have beside the one restored
    metrics: tuple[str, ...] = ()  # measured when nobody names metrics; none: all that are measured by default
    damage_px: int | None = None  # degrade as hard on the face as in a square of this side; `None`: as in its own
    is_grouped: bool = False  # the tables are also made for groups of people
    varied: tuple[str, ...] = ()  # rows that differ only in which photo leads: Identity Variance is over them

    def under(self, presets: tuple[str, ...]) -> "Suite":
        """Return the suite with a table for each of these presets; none given leaves its own."""
        return replace(self, presets=presets or self.presets)

    def only(self, names: tuple[str, ...]) -> "Suite":
        """Return the suite with these rows, the input among them, and their comparisons; none given leaves all.

        Raises:
            RecipeError: there is no such row.
        """
        if not names:
            return self
        known = [row.name for row in self.rows]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise RecipeError(f"bench: suite {self.name} has no row {unknown[0]!r}; its rows: {', '.join(known)}")
        rows = tuple(row for row in self.rows if row.how == "copy" or row.name in names)
        left = {row.name for row in rows}
        return replace(
            self,
            rows=rows,
            comparisons=tuple(pair for pair in self.comparisons if left.issuperset(pair)),
            contrasts=tuple(name for name in self.contrasts if name in left),
            varied=tuple(name for name in self.varied if name in left),
        )


INPUT = Row("input", "the degraded picture, as it is given to every row below", how="copy")
ROUND_TRIP = Row("round trip", "the truth through the autoencoder: no row below can pass it by much", how="round trip")
NO_REFERENCES = Row("no references", "restored without identity")
COUNTED = (
    Row("1 reference", "restored, led by one other photo of the person", references=1),
    Row("2 references", "restored, led by two", references=2),
    Row("3 references", "restored, led by three", references=3),
    Row("4 references", "restored, led by four", references=4),
)
UP_TO_4 = Row("up to 4 references", "restored, led by all photos of the person, four at most", references=4, fewest=1)
WRONG = Row("wrong person", "restored, led by four photos of somebody else", references=4, whose="stranger")
STRANGER = Row("a stranger", "restored, led by one photo of somebody else", references=1, whose="stranger")
TRUTH = Row("truth as reference", "restored, led by the clean photo itself", references=1, whose="truth")
SIZED = (
    Row("reference at 64 px", "led by one, shrunk to 64/512 of its side", references=1, reference_px=(64, 64)),
    Row("reference at 128 px", "led by one, shrunk to 128/512 of its side", references=1, reference_px=(128, 128)),
    Row(
        "reference at 64..512 px", "led by one, shrunk to a side drawn in between", references=1, reference_px=(64, 512)
    ),
)
ALIKE = Row(
    "most alike", "led by the person's photo nearest to the target in pose and mouth", references=1, chosen="most alike"
)
UNALIKE = Row(
    "least alike", "led by the one furthest from the target in pose and mouth", references=1, chosen="least alike"
)
ALONE = tuple(
    Row(f"reference {place + 1} alone", f"restored, led by other photo {place + 1} only", references=1, first=place)
    for place in range(MAX_REFERENCES)
)

SUITES = {
    "compact": Suite(
        "compact",
        "does restoring help, do references help, and is it the person or any person",
        ("light", "medium", "heavy", "published"),
        (INPUT, ROUND_TRIP, NO_REFERENCES, *COUNTED, WRONG, TRUTH),
        (
            ("no references", "input"),
            ("1 reference", "no references"),
            ("2 references", "no references"),
            ("4 references", "no references"),
            ("4 references", "1 reference"),
            ("1 reference", "wrong person"),
            ("4 references", "wrong person"),
            ("truth as reference", "4 references"),
        ),
        ("no references", "1 reference", "4 references"),
    ),
    "methods": Suite(
        "methods",
        "each method beside the input, itself without references, and restorers that know nobody (--blind)",
        ("light", "medium", "heavy"),
        (INPUT, NO_REFERENCES, COUNTED[0], UP_TO_4, STRANGER),
        (
            ("no references", "input"),
            ("1 reference", "input"),
            ("1 reference", "no references"),
            ("up to 4 references", "no references"),
            ("1 reference", "a stranger"),
        ),
        ("no references", "1 reference", "up to 4 references"),
    ),
    "guided": Suite(
        "guided",
        "methods led by references, judged by networks and measures that none of them was trained with; squares of any "
        "size, degraded as hard on the face as ones of 128 px",
        ("light", "medium", "heavy"),
        (INPUT, NO_REFERENCES, COUNTED[0], UP_TO_4, WRONG),
        (
            ("no references", "input"),
            ("1 reference", "input"),
            ("up to 4 references", "input"),
            ("1 reference", "no references"),
            ("up to 4 references", "1 reference"),
            ("up to 4 references", "wrong person"),
            ("wrong person", "no references"),
            ("wrong person", "input"),
        ),
        ("no references", "1 reference", "up to 4 references", "wrong person"),
        metrics=(
            "identity similarity",
            "dlib distance",
            "dlib same person",
            "perceptual distance",
            "psnr",
            "landmark error",
            "consistency",
            "niqe",
        ),
        damage_px=128,
        is_grouped=True,
    ),
    "references": Suite(
        "references",
        "how many references, of what resolution, and does a reference of another pose or expression do harm",
        ("medium", "heavy"),
        (INPUT, NO_REFERENCES, *COUNTED, *SIZED, ALIKE, UNALIKE),
        (
            ("1 reference", "no references"),
            ("2 references", "1 reference"),
            ("3 references", "2 references"),
            ("4 references", "3 references"),
            ("reference at 64 px", "1 reference"),
            ("reference at 128 px", "1 reference"),
            ("reference at 64..512 px", "1 reference"),
            ("least alike", "most alike"),
        ),
        ("1 reference", "reference at 64 px", "least alike"),
    ),
    "alignment": Suite(
        "alignment",
        "how much the result depends on which photo leads (Identity Variance), for people with five photos",
        ("medium", "heavy"),
        (INPUT, NO_REFERENCES, *ALONE),
        (("reference 1 alone", "no references"),),
        ("reference 1 alone",),
        others=MAX_REFERENCES,
        varied=tuple(row.name for row in ALONE),
    ),
    "protocol": Suite(
        "protocol",
        "one photo a person of your own CelebRef-HQ, FFHQ or LFW, degraded over Eq. 6's whole ranges as of 512 px "
        "squares; FaceMe's main table is of 150 people (--limit 150)",
        ("published",),
        (INPUT, NO_REFERENCES, COUNTED[0], COUNTED[3]),
        (("1 reference", "no references"), ("4 references", "1 reference"), ("1 reference", "input")),
        ("no references", "1 reference", "4 references"),
    ),
}


def find_suite(name: str) -> Suite:
    """Return the suite of that name.

    Raises:
        RecipeError: there is none.
    """
    if name not in SUITES:
        raise RecipeError(f"bench: unknown suite {name!r}; known suites: {', '.join(SUITES)}")
    return SUITES[name]
