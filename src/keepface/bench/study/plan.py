"""What a study asks: its questions, its tasks, and the order in which one voter meets them.

Varanka et al., CVPR 2024, "PFStorer: Personalized Face Restoration and Super-Resolution"  [PFStorer]

`study.json` in the study's folder is the key: it says which picture is of which method, so it stays with whoever runs
the study. What a voter's browser receives of it is a task's `id`, its question and names of pictures that say nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keepface.bench.results import write_aside
from keepface.errors import DataError
from keepface.seeds import numpy_generator

KEY_FILE = "study.json"
PICTURES = "pictures"
FORMAT = 1  # of study.json
TIE = "tie"  # the choice "no difference"; names of pictures are 16 hexadecimal digits


@dataclass(frozen=True)
class Question:
    """What a voter is asked; `hint` says how to judge."""

    prompt: str
    hint: str
    needs_references: bool


# [PFStorer, Sec. 4.1]: "the best image in terms of quality and identity with respect to a reference image".
QUESTIONS = {
    "quality": Question(
        "Which picture has the best quality?",
        "Look for a face that is clear, detailed and natural. Who it is does not matter here.",
        needs_references=False,
    ),
    "identity": Question(
        "Which picture looks most like the person in the reference photos?",
        "Compare eyes, nose, mouth and the shape of the face. How sharp the picture is does not matter here.",
        needs_references=True,
    ),
}


@dataclass(frozen=True)
class Choice:
    """One picture to choose; `method` is empty in a control."""

    picture: str
    method: str


@dataclass(frozen=True)
class Task:
    """One question about one photo; `right` is the picture that a control's voter must choose, else empty."""

    id: str
    question: str
    photo: str  # file name of the photo without its ending
    choices: tuple[Choice, ...]
    references: tuple[str, ...]
    input: str  # the photo as it was given to the methods; empty where it is not shown
    right: str

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of all pictures that the task shows."""
        return (*(choice.picture for choice in self.choices), *self.references, *filter(None, [self.input]))


@dataclass(frozen=True)
class Study:
    """A whole study, as `study.json` holds it."""

    id: str
    title: str
    seed: int
    methods: tuple[str, ...]
    questions: tuple[str, ...]
    tie: bool  # "no difference" may be answered
    photos_a_voter: int | None  # each voter is asked about so many photos only; `None` asks about all
    tasks: tuple[Task, ...]

    @property
    def controls(self) -> tuple[Task, ...]:
        """The tasks whose right answer is known."""
        return tuple(task for task in self.tasks if task.right)

    def tasks_of(self, voter: str) -> tuple[Task, ...]:
        """Return what one voter is asked, in the order of asking, the choices in the order of showing.

        One question is asked about all photos, then the next. The order of the photos, the places of the choices and,
        if not all photos are asked about, which ones, are drawn from the study's seed and the voter; the controls are
        spread evenly. So a voter who comes back meets the same study.
        """
        asked: list[Task] = []
        for question in self.questions:
            rng = numpy_generator(self.seed, "order", voter, question)
            block = [task for task in self.tasks if task.question == question]
            mine = self._chosen([task for task in block if not task.right], rng)
            asked += [_shuffled(task, rng) for task in _spread([task for task in block if task.right], mine, rng)]
        return tuple(asked)

    def _chosen(self, tasks: Sequence[Task], rng: np.random.Generator) -> list[Task]:
        photos = sorted({task.photo for task in tasks})
        kept = {photos[place] for place in rng.permutation(len(photos))[: self.photos_a_voter]}
        mine = [task for task in tasks if task.photo in kept]
        return [mine[place] for place in rng.permutation(len(mine))]


def write_study(study: Study, folder: Path) -> None:
    """Write the key into a study's folder."""
    write_aside(folder / KEY_FILE, json.dumps({"format": FORMAT, **asdict(study)}, indent=1) + "\n")


def read_study(folder: Path) -> Study:
    """Read the key of a study's folder, and check that its pictures are there.

    Raises:
        DataError: no study, one of another format, a damaged one, or one with pictures missing.
    """
    path = folder / KEY_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            raise DataError(f"{path}: written by another version of keepface; build the study anew")
        study = _study(found)
    except FileNotFoundError:
        raise DataError(
            f"{folder}: holds no study; make one with: keepface study build {folder} --method ..."
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: is no key of a study: {error!r}") from None
    missing = [name for task in study.tasks for name in task.pictures if not picture_path(folder, name).is_file()]
    if missing:
        raise DataError(f"{picture_path(folder, missing[0])}: is missing, and {len(set(missing)) - 1} more pictures")
    return study


def picture_path(folder: Path, name: str) -> Path:
    """Tell where a picture of a study lies."""
    return folder / PICTURES / f"{name}.png"


def _study(found: dict[str, Any]) -> Study:
    tasks = tuple(
        Task(
            **{
                **task,
                "choices": tuple(Choice(**choice) for choice in task["choices"]),
                "references": tuple(task["references"]),
            }
        )
        for task in found.pop("tasks")
    )
    methods, questions = tuple(found.pop("methods")), tuple(found.pop("questions"))
    unknown = {*questions, *(task.question for task in tasks)} - QUESTIONS.keys()
    if unknown:
        raise ValueError(f"unknown question {sorted(unknown)[0]!r}")
    return Study(methods=methods, questions=questions, tasks=tasks, **found)


def _spread(controls: Sequence[Task], tasks: Sequence[Task], rng: np.random.Generator) -> list[Task]:
    """Put one control somewhere into each of as many equal parts as there are controls."""
    order = rng.permutation(len(controls))
    count = len(controls) + len(tasks)
    edges = np.linspace(0, count, len(controls) + 1).round().astype(int)
    places = {int(rng.integers(edges[i], edges[i + 1])): controls[order[i]] for i in range(len(controls))}
    rest = iter(tasks)
    return [places[place] if place in places else next(rest) for place in range(count)]


def _shuffled(task: Task, rng: np.random.Generator) -> Task:
    choices = tuple(task.choices[place] for place in rng.permutation(len(task.choices)))
    return Task(task.id, task.question, task.photo, choices, task.references, task.input, task.right)
