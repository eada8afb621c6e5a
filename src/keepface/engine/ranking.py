"""Several restorations of one face, and which of them is best: alike to the references, true to the photo, natural.

Likeness is measured by the recogniser that leads the model. The judge, which leads no model, is told beside it and
never ranks: a judge that chooses is part of what it judges.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.consistency import consistency, fit_blur
from keepface.engine.references import Recognising, References
from keepface.errors import MissingExtraError, WeightsError
from keepface.faces.face import Face
from keepface.identity.compare import to_references
from keepface.identity.embed import square_face
from keepface.metrics.naturalness import Niqe

# Ours: what counts as much as what. About one standard deviation over the seeds of one face, measured on 18 people at
# the medium preset with the bundled family; likeness counts double, for it is what the references are given for.
COSINE_UNIT, DB_UNIT, NIQE_UNIT = 0.05, 0.5, 1.0
LIKENESS_WEIGHT = 2.0


@dataclass(frozen=True)
class Candidate:
    """One restoration of a face and what was measured of it; `None` where there was nothing to measure by."""

    seed: int
    identity: float | None  # cosine to the references, by the recogniser that leads the model
    judged: float | None  # the same by the judge; it does not rank
    consistency_db: float  # agreement with the photo [FaceMe, Eq. 1]
    naturalness: float | None  # NIQE; less is more natural
    score: float = 0.0  # higher is better; 0 is the middle of this face's candidates
    chosen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as plain data."""
        return {
            "seed": self.seed,
            "identity": _rounded(self.identity),
            "judged": _rounded(self.judged),
            "consistency_db": round(self.consistency_db, 3),
            "naturalness": _rounded(self.naturalness),
            "score": round(self.score, 4),
            "chosen": self.chosen,
        }


class Ranker:
    """The instruments that candidates are measured by; `missing` says why naturalness is not measured."""

    def __init__(self, restorer: Recognising, niqe: Niqe | None, missing: str | None = None) -> None:
        self.restorer, self.niqe, self.missing = restorer, niqe, missing

    @classmethod
    def load(cls, restorer: Recognising) -> "Ranker":
        """Take the restorer's own recognisers, and NIQE where its parameters are installed."""
        try:
            return cls(restorer, Niqe.load())
        except (MissingExtraError, WeightsError) as reason:
            return cls(restorer, None, str(reason))

    def measure(
        self,
        low: Float[Tensor, "3 s s"],
        squares: Float[Tensor, "k 3 s s"],
        seeds: Sequence[int],
        led_by: References | None,
        expected: Face | None = None,
    ) -> list[Candidate]:
        """Measure and score a face's candidates, in the order given; `expected` is where the photo had the face."""
        agreement = consistency(low, squares, fit_blur(low, squares)).tolist()
        found = []
        for square, seed, decibel in zip(squares, seeds, agreement, strict=True):
            identity, judged = self._likeness(square, led_by, expected)
            found.append(Candidate(seed, identity, judged, decibel, self._naturalness(square)))
        return scored(found)

    def _likeness(
        self, square: Float[Tensor, "3 s s"], led_by: References | None, expected: Face | None
    ) -> tuple[float | None, float | None]:
        if led_by is None or not led_by.kept:
            return None, None
        face = square_face(square, self.restorer.embedder.detector, expected).face
        leads = self.restorer.embedder.recogniser.embed(square, face)
        judged = self.restorer.judge.embed(square, face)
        return to_references(leads, led_by.recognised), to_references(judged, led_by.judged)

    def _naturalness(self, square: Float[Tensor, "3 s s"]) -> float | None:
        value = math.nan if self.niqe is None else self.niqe(square)
        return value if math.isfinite(value) else None


def scored(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Give each candidate its score: a weighted sum of how far it is above the mean of all, in each measure's unit.

    score = 2 (identity - mean) / 0.05 + (consistency - mean) / 0.5 dB - (NIQE - mean) / 1; a measure that not every
    candidate has does not count.
    """
    parts = (
        ([item.identity for item in candidates], LIKENESS_WEIGHT / COSINE_UNIT),
        ([item.consistency_db for item in candidates], 1 / DB_UNIT),
        ([item.naturalness for item in candidates], -1 / NIQE_UNIT),
    )
    totals = torch.zeros(len(candidates), dtype=torch.float64)
    for values, weight in parts:
        known = [value for value in values if value is not None]
        if len(known) == len(candidates):
            column = torch.tensor(known, dtype=torch.float64)
            totals += weight * (column - column.mean())
    return [replace(item, score=float(total)) for item, total in zip(candidates, totals, strict=True)]


def order(candidates: Sequence[Candidate]) -> list[int]:
    """Return the candidates' places, best first; of equal ones the earlier first."""
    return sorted(range(len(candidates)), key=lambda place: (-candidates[place].score, place))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
