"""What a study compares, and how it asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keepface.bench.study.plan import QUESTIONS
from keepface.errors import RecipeError

COMPARE = ("auto", "all", "pairs")
AT_ONCE = 4  # more methods than these are compared in pairs  # ours: the paper shows its 3 at once
MIN_SIDE, MAX_SIDE = 64, 2048


@dataclass(frozen=True)
class StudySettings:
    """What to compare and how to ask; folders hold one picture a photo, under the photo's file name."""

    methods: Mapping[str, Path]  # name -> folder of results
    references: Path | None = None  # PHOTO.jpg, or a folder PHOTO with several
    inputs: Path | None = None  # the photos as the methods were given them; shown where set
    truths: Path | None = None  # the clean photos, of which the controls are made
    questions: tuple[str, ...] = ()  # empty: all that can be asked
    compare: str = "auto"  # all methods at once, or every pair; auto: all up to four
    controls: int = 6  # a question  # ours
    tie: bool = False  # offer "no difference"
    photos_a_voter: int | None = None
    side: int = 512  # px, the longest side of every picture
    seed: int | None = None  # None draws one
    title: str = "Which picture is better?"

    def __post_init__(self) -> None:
        unknown = [name for name in self.questions if name not in QUESTIONS]
        if unknown:
            raise RecipeError(f"study: unknown question {unknown[0]!r}; known questions: {', '.join(QUESTIONS)}")
        if len(set(self.questions)) < len(self.questions):
            raise RecipeError(f"study: a question is given twice: {', '.join(self.questions)}")
        if len(self.methods) < 2:
            raise RecipeError(f"study: {len(self.methods)} method; a comparison needs two: --method NAME=FOLDER, twice")
        if self.compare not in COMPARE:
            raise RecipeError(f"study: compare is {self.compare!r}; use {', '.join(COMPARE)}")
        if not MIN_SIDE <= self.side <= MAX_SIDE:
            raise RecipeError(f"study: side is {self.side}; it must be from {MIN_SIDE} to {MAX_SIDE} px")
        if self.controls < 0 or (self.photos_a_voter or 1) < 1 or (self.seed or 0) < 0:
            raise RecipeError("study: controls and seed must be 0 or more, photos a voter 1 or more")
        self._check_what_voters_see()

    def _check_what_voters_see(self) -> None:
        told = [name for name in self.methods if name.strip() and name.lower() in self.title.lower()]
        if told:
            raise RecipeError(f"study: the title {self.title!r} tells voters of {told[0]!r}; leave methods out of it")
        for name in self.asked:
            if QUESTIONS[name].needs_references and self.references is None:
                raise RecipeError(
                    f"study: the question {name!r} shows reference photos; give --reference FOLDER, or leave it out "
                    "with --questions quality"
                )
        if self.controls and self.truths is None and self.references is None:
            raise RecipeError(
                "study: controls are made of clean photos; give --truth FOLDER (or --reference FOLDER), or do without "
                "with --controls 0"
            )

    @property
    def asked(self) -> tuple[str, ...]:
        """The questions, in the order of asking."""
        return self.questions or tuple(
            name for name, question in QUESTIONS.items() if self.references or not question.needs_references
        )

    @property
    def in_pairs(self) -> bool:
        """Whether a task shows two methods; else it shows all."""
        return self.compare == "pairs" or (self.compare == "auto" and len(self.methods) > AT_ONCE)
