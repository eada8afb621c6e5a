"""What a restoration returns: the picture, and what was done to each face and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from keepface.engine.evidence import Evidence
from keepface.engine.ranking import Candidate
from keepface.engine.reason_words import sentence
from keepface.engine.reasons import Outcome, Reason
from keepface.engine.references import LeftOut
from keepface.engine.settings import RestoreSettings
from keepface.faces.quality import Quality
from keepface.image.beside import not_kept
from keepface.image.endings import FORMATS
from keepface.image.files import Photo

NO_FACE = Reason("no_face")

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Similarity:
    """Hold cosines, -1..1, by a recogniser that leads no model; `None` where there is nothing to compare."""

    input_to_references: float | None = None
    output_to_references: float | None = None
    output_to_input: float | None = None


@dataclass(frozen=True)
class FaceResult:
    """What was done to one face, who it is, and how good the result is.

    *Who it is* is told by the photo alone: `person`, `is_matched` and `same_person_probability`. *How good the result
    is* is measured on the finished picture: `quality`, and `similarity` before and after.
    """

    box: Box | None  # in pixels of the photo given; None: no face was found
    outcome: Outcome
    reasons: tuple[Reason, ...]  # why it was left alone, or changed less than asked
    similarity: Similarity
    seed: int
    method: str
    person: str | None = None
    same_person_probability: float | None = None  # that the photo's face is the person's; None: nobody can tell
    is_matched: bool = False  # to this person by keepface; False: on the user's word, or to nobody
    quality: Quality | None = None  # None: the face is unchanged
    candidates: tuple[Candidate, ...] = ()  # best first, where several were asked for

    @property
    def changed(self) -> bool:
        """Tell whether any pixel of the face was changed."""
        return self.outcome != "unchanged"

    @property
    def restored(self) -> bool:
        """Tell whether the face was drawn anew."""
        return self.outcome == "restored"

    @property
    def reason(self) -> str | None:
        """Return the reasons as one sentence."""
        return sentence(self.reasons, self.outcome)

    def unnamed(self) -> "FaceResult":
        """Return it without the names of people."""
        return replace(self, person=None, reasons=tuple(item.unnamed() for item in self.reasons))

    def to_json(self) -> dict[str, Any]:
        """Return the face as plain data, with the box in hundredths of a pixel; candidates only where there are any."""
        more = {"candidates": [item.to_json() for item in self.candidates]} if self.candidates else {}
        return {
            "box": None if self.box is None else [round(edge, 2) for edge in self.box],
            "person": self.person,
            "outcome": self.outcome,
            "restored": self.restored,
            "reason": self.reason,
            "reasons": [item.to_json() for item in self.reasons],
            "similarity": {name: _rounded(value) for name, value in asdict(self.similarity).items()},
            "same_person_probability": _rounded(self.same_person_probability),
            "quality": None if self.quality is None else self.quality.to_json(),
            "seed": self.seed,
            "method": self.method,
        } | more


@dataclass(frozen=True)
class Counts:
    """How many faces were restored, denoised and left unchanged."""

    restored: int
    denoised: int
    unchanged: int

    @classmethod
    def of(cls, faces: Sequence[FaceResult]) -> "Counts":
        """Count the faces that were found."""
        found = [face.outcome for face in faces if face.box is not None]
        return cls(found.count("restored"), found.count("denoised"), found.count("unchanged"))

    @property
    def found(self) -> int:
        """Return how many faces there are."""
        return self.restored + self.denoised + self.unchanged

    @property
    def told(self) -> str:
        """Return the numbers with their words, as far as they are not 0: 2 restored, 1 unchanged."""
        words = (("restored", self.restored), ("denoised", self.denoised), ("unchanged", self.unchanged))
        return ", ".join(f"{number} {word}" for word, number in words if number)


@dataclass(frozen=True, eq=False)
class Restoration:
    """One photo restored: the picture, its faces (largest first), and the references that were left out.

    A picture restored whole by tiles has no faces: none were looked for.
    """

    image: Photo
    input: str  # names the photo given
    faces: tuple[FaceResult, ...]
    seconds: float
    settings: RestoreSettings
    left_out: tuple[LeftOut, ...] = ()
    tiles: int = 0  # of which the whole picture was made; 0: it was restored face by face
    evidence: Evidence | None = None  # what came from where, if that was asked for
    cleaned: bool = False  # the pre-cleaner ran before what was restored

    @property
    def changed(self) -> bool:
        """Tell whether anything was restored or denoised; otherwise the picture is the one given, bit for bit."""
        return self.tiles > 0 or any(face.changed for face in self.faces)

    def save(self, path: Path | str, force: bool = False) -> None:
        """Write the picture, as `keepface.image.files.write_photo`."""
        self.image.save(path, force)

    def to_json(self, output: str | None = None) -> dict[str, Any]:
        """Return the row that `keepface restore --json` prints; `output` is where the picture was written.

        A row has one more key, `"cleaned": true`, where the pre-cleaner ran, and `"tiles"`, how many, where the whole
        picture was restored by tiles; and `"notes"` where something of the file is not in the result.
        """
        row = _row(self.input, output, None, self.seconds, self.faces)
        more: dict[str, Any] = {"cleaned": True} if self.cleaned and self.changed else {}
        more |= {"evidence": self.evidence.to_json()} if self.evidence else {}
        more |= {"notes": list(notes)} if (notes := self.notes(output)) else {}
        return row | more | ({"tiles": self.tiles} if self.tiles else {})

    def notes(self, output: str | None = None) -> tuple[str, ...]:
        """Say what of the photo's file is not in the result; `output` is where the picture was written."""
        form = None if output is None else FORMATS.get(Path(output).suffix.lower())
        is_copy = not self.changed and form == FORMATS.get(Path(self.input).suffix.lower())
        lost = () if form is None or is_copy else not_kept(self.image.beside, form)
        return (*self.image.notes, *(f"{form} has no place for {what}, which are left out" for what in lost))


def failed(source: str, error: str, seconds: float) -> dict[str, Any]:
    """Return the row of a photo that could not be restored."""
    return _row(source, None, error, seconds, ())


def skipped(source: str, output: str) -> dict[str, Any]:
    """Return the row of a photo whose output was there already, from an earlier run."""
    return _row(source, output, None, 0.0, ())


def _row(
    source: str, output: str | None, error: str | None, seconds: float, faces: Sequence[FaceResult]
) -> dict[str, Any]:
    return {
        "input": source,
        "output": output,
        "error": error,
        "seconds": round(seconds, 3),
        "faces": [face.to_json() for face in faces],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
