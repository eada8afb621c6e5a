"""What is said of each face once its photo is restored: how alike it is to whom, and whether it may stay."""

from dataclasses import dataclass, replace

from keepface.engine.matching import Plan
from keepface.engine.result import FaceResult, Similarity
from keepface.identity.compare import cosine, to_references
from keepface.identity.recogniser import Recogniser
from keepface.image.files import Photo

LIKENESS_SLACK = 0.05  # ours: a loss of likeness (cosine, judge) that is not worth a word


@dataclass(frozen=True, eq=False)
class Sides:
    """A photo before and after, and how many times as long the sides became."""

    before: Photo
    after: Photo
    scale: float


def receipt(judge: Recogniser, sides: Sides, plan: Plan, seed: int, method: str) -> FaceResult:
    """Judge one face by a recogniser that leads no model; a face nobody leads is compared with nobody."""
    before = judge.embed(sides.before.pixels, plan.face)
    after = judge.embed(sides.after.pixels, plan.face.scaled(sides.scale)) if plan.is_restored else None
    known = plan.compared_with.judged if plan.compared_with and plan.compared_with.kept else None
    likeness = Similarity(
        None if known is None else to_references(before, known),
        None if known is None or after is None else to_references(after, known),
        None if after is None else float(cosine(after, before)),
    )
    reason = plan.reason or lost_likeness(likeness)
    person = plan.led_by.person if plan.led_by else None
    return FaceResult(plan.face.box, plan.is_restored, reason, likeness, seed, method, person)


def lost_likeness(likeness: Similarity) -> str | None:
    """Say so when a restored face is less like the references than it was: sharper, but more of a stranger."""
    before, after = likeness.input_to_references, likeness.output_to_references
    if before is None or after is None or after >= before - LIKENESS_SLACK:
        return None
    return f"restored, but less like the references than before ({before:.2f} to {after:.2f}): keep the old face"


def left_alone(result: FaceResult) -> FaceResult:
    """Give the old face back, and say why."""
    before, after = result.similarity.input_to_references, result.similarity.output_to_references
    reason = f"left as it was: restored it would be less like the references ({before:.2f} to {after:.2f})"
    return replace(result, restored=False, reason=reason, similarity=Similarity(before, before, 1.0))
