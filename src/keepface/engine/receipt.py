"""What is said of each face once its photo is restored: how alike it is to whom, and whether it may stay."""

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from keepface.engine.calibration import same_person
from keepface.engine.likeness import clarity
from keepface.engine.matching import Plan
from keepface.engine.result import FaceResult, Similarity
from keepface.faces.face import Face
from keepface.identity.compare import cosine, to_references
from keepface.identity.recogniser import Recogniser
from keepface.image.files import Photo

LIKENESS_SLACK = 0.05  # ours: a loss of likeness (cosine, judge) that is not worth a word
UNLIKELY = 0.05  # probability below which a matched face does not stay; 1 in 200 true pairs is, docs/receipts.md


@dataclass(frozen=True, eq=False)
class Sides:
    """A photo before and after, and how many times as long the sides became."""

    before: Photo
    after: Photo
    scale: float


def receipt(judge: Recogniser, sides: Sides, plan: Plan, seed: int, method: str) -> FaceResult:
    """Judge one face by a recogniser that leads no model; a face nobody leads is compared with nobody.

    The probability is the lower one of the photo's and the result's: references lead the result, so that its likeness
    to them can make nobody surer of who it is than the photo does.
    """
    old, new = (sides.before.pixels, plan.face), (sides.after.pixels, plan.face.scaled(sides.scale))
    before = judge.embed(*old)
    after = judge.embed(*new) if plan.is_restored else None
    known = plan.compared_with.judged if plan.compared_with and plan.compared_with.kept else None
    likeness = Similarity(
        None if known is None else to_references(before, known),
        None if known is None or after is None else to_references(after, known),
        None if after is None else float(cosine(after, before)),
    )
    chances = [_chance(judge, likeness.input_to_references, old), _chance(judge, likeness.output_to_references, new)]
    result = FaceResult(
        plan.face.box,
        plan.is_restored,
        plan.reason,
        likeness,
        seed,
        method,
        plan.led_by.person if plan.led_by else None,
        min((chance for chance in chances if chance is not None), default=None),
        is_matched=plan.is_restored and plan.is_matched,
        input_probability=chances[0],
    )
    told = [text for text in (plan.reason, objection(result)) if text]
    return replace(result, reason="; ".join(told) or None)


def _chance(judge: Recogniser, likeness: float | None, seen: tuple[Float[Tensor, "3 h w"], Face]) -> float | None:
    return None if likeness is None else same_person(judge.name, likeness, clarity(*seen))


def objection(result: FaceResult) -> str | None:
    """Say why a restored face should be taken back; `None` where it may stay."""
    if not result.restored:
        return None
    chance = result.same_person_probability
    if result.is_matched and chance is not None and chance < UNLIKELY:
        return f"restored, but hardly the references' person (probability {chance:.2f}): keep the old face"
    return lost_likeness(result.similarity)


def lost_likeness(likeness: Similarity) -> str | None:
    """Say so when a restored face is less like the references than it was: sharper, but more of a stranger."""
    before, after = likeness.input_to_references, likeness.output_to_references
    if before is None or after is None or after >= before - LIKENESS_SLACK:
        return None
    return f"restored, but less like the references than before ({before:.2f} to {after:.2f}): keep the old face"


def only_cleaned(drawn: FaceResult, cleaned: FaceResult) -> FaceResult:
    """Tell of a face that was cleaned instead of drawn anew, and why."""
    before, after = drawn.similarity.input_to_references, drawn.similarity.output_to_references
    reason = f"only cleaned: drawn anew it would be less like the references ({before:.2f} to {after:.2f})"
    if lost_likeness(drawn.similarity) is None:
        reason = (
            f"only cleaned: drawn anew it would hardly be the references' person ({drawn.same_person_probability:.2f})"
        )
    return replace(cleaned, reason=reason, is_matched=False, is_only_cleaned=True)


def left_alone(result: FaceResult) -> FaceResult:
    """Give the old face back, and say why."""
    before, after = result.similarity.input_to_references, result.similarity.output_to_references
    reason = f"left as it was: restored it would be less like the references ({before:.2f} to {after:.2f})"
    if lost_likeness(result.similarity) is None:
        chance = result.same_person_probability
        reason = f"left as it was: restored it would hardly be the references' person (probability {chance:.2f})"
    return replace(
        result,
        restored=False,
        reason=reason,
        similarity=Similarity(before, before, 1.0),
        same_person_probability=result.input_probability,
    )
