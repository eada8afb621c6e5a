"""What is said of each face once its photo is restored: how alike it is to whom, how good it became, may it stay.

A way of changing a face (restored, denoised) is measured on the finished picture, with its grain, and refused where the
photo's own face was better in anything that is measured. What is refused is named; nothing is let pass in silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from keepface.engine.likeness import probability
from keepface.engine.matching import UNLIKELY, Plan
from keepface.engine.reasons import Reason, Way
from keepface.engine.result import FaceResult, Similarity
from keepface.faces.detail import measure_detail
from keepface.faces.quality import Appearance, Finder, Quality, appearance, compare
from keepface.identity.compare import cosine, to_references
from keepface.identity.recogniser import Recogniser
from keepface.image.files import Photo
from keepface.image.size import resize

# Ours: what a face may lose where measuring it twice gives as much; each is measured with noise taken off.
LEAST_HELD = 0.92  # of the pixels a side that its detail fills
LEAST_FINE, AS_FINE = 0.75, 1.1  # of the power of the finest octave that the photo holds; with more none is lost
LEAST_CONTRAST = 0.9  # of eyes and mouth
SURE, LESS_SURE = 0.9, 0.05  # a detector so sure of a face in the photo may be so much less sure of the result
MOST_MOVED = 0.12  # of the distance between the eyes, of a face so surely found
MOST_MOVED_PX = 1.5 / 0.246  # or one and a half of the pixels that its detail fills; the eyes lie 0.246 sides apart
BRIGHTER, TINTED = 0.03, 0.03  # of white: so far brightness and colour of the whole face may shift
# A way that gains nothing of this is not worth a change.
MORE_HELD, LESS_NOISE, NOISE_SEEN, MORE_ALIKE = 1.1, 0.8, 0.012, 0.02
MORE_FINE, BLURRED_PX = 1.5, 40.0  # of a face whose detail fills fewer pixels: power of the finest octave that it holds
SHARP = 0.9  # of the pixels of the result, that the photo's detail fills: nothing is to be gained but noise


@dataclass(frozen=True, eq=False)
class Trial:
    """A face in the finished picture, as one way makes it: what was measured."""

    way: Way
    picture: Photo
    similarity: Similarity
    quality: Quality
    result_probability: float | None  # of the result, whose likeness the references led

    def objections(self, plan: Plan) -> list[Reason]:
        """Say what speaks against it; nothing where it may stay."""
        return [Reason(item.code, item.values, self.way) for item in _objections(self, plan)]


class Judged:
    """One face of a photo, measured once as it was, and compared with whatever is pasted over it."""

    def __init__(self, judge: Recogniser, finder: Finder, photo: Photo, plan: Plan) -> None:
        self._judge, self._finder, self._photo, self._plan = judge, finder, photo, plan
        self._own = judge.embed(photo.pixels, plan.face)
        self._looks: dict[tuple[int, int], Appearance] = {}
        known = plan.compared_with
        self._known = known.judged if known is not None and known.kept else None

    @property
    def similarity(self) -> Similarity:
        """Return the likeness of the face as it was."""
        return Similarity(None if self._known is None else to_references(self._own, self._known))

    def trial(self, way: Way, picture: Photo) -> Trial:
        """Measure the face in the picture that one way made."""
        scale = picture.pixels.shape[2] / self._photo.pixels.shape[2]
        face = self._plan.face.scaled(scale)
        embedded = self._judge.embed(picture.pixels, face)
        after = None if self._known is None else to_references(embedded, self._known)
        similarity = Similarity(self.similarity.input_to_references, after, float(cosine(embedded, self._own)))
        chance = None if after is None else probability(self._judge.name, after, picture.pixels, face)
        quality = compare(self._before(picture.pixels), appearance(picture.pixels, face, self._finder))
        return Trial(way, picture, similarity, quality, chance)

    def _before(self, like: Float[Tensor, "3 h w"]) -> Appearance:
        """Measure the photo's own face, at the size of what it is compared with."""
        size = (like.shape[1], like.shape[2])
        if size not in self._looks:
            own = self._photo.pixels
            pixels = own if own.shape == like.shape else resize(own, size, "bicubic").clamp(0, 1)
            face = self._plan.face.scaled(size[1] / own.shape[2])
            self._looks[size] = appearance(pixels, face, self._finder)
        return self._looks[size]


def nothing_to_gain(photo: Photo, plan: Plan, model_px: int, shown_px: float | None = None) -> Reason | None:
    """Say so where a face holds more than a square of the model can, or all that its pixels can without noise.

    `shown_px` is the side of its square in the result; `None`: as in the photo.
    """
    own = measure_detail(photo.pixels, plan.face.points)
    if own.held_px > model_px:
        return Reason("holds_more", {"held": own.held_px, "makes": model_px})
    if own.held_px >= SHARP * (shown_px or own.side_px) and own.noise < NOISE_SEEN:
        return Reason("sharp", {"held": own.held_px})
    return None


def _objections(trial: Trial, plan: Plan) -> list[Reason]:
    return [*_of_likeness(trial, plan), *_of_quality(trial.quality)] or _of_gain(trial)


def _of_likeness(trial: Trial, plan: Plan) -> list[Reason]:
    """Name a loss of likeness: sharper, but more of a stranger."""
    before, after = _ends(trial.similarity)
    told = []
    if before is not None and after is not None and after < before:
        told.append(Reason("less_alike", {"before": before, "after": after}))
    chance = trial.result_probability
    if plan.is_matched and chance is not None and chance < UNLIKELY:
        told.append(Reason("hardly_alike", {"probability": chance}))
    return told


def _of_quality(found: Quality) -> list[Reason]:
    """Name what the photo's face had more of."""
    told = []
    is_coarser = found.held_px_after < LEAST_HELD * found.held_px_before and found.fine_detail < AS_FINE
    if is_coarser or found.fine_detail < LEAST_FINE:
        told.append(Reason("less_detail", {"before": found.held_px_before, "after": found.held_px_after}))
    for part, share in (("eyes", found.eyes), ("mouth", found.mouth)):
        if share < LEAST_CONTRAST:
            told.append(Reason("weaker", {"part": part, "share": share}))
    if found.score_before >= SURE:
        if found.score_after < found.score_before - LESS_SURE:
            told.append(Reason("lost", {"before": found.score_before, "after": found.score_after}))
        elif found.moved > max(MOST_MOVED, MOST_MOVED_PX / found.held_px_before):
            told.append(Reason("moved", {"share": found.moved}))
    if abs(found.lighter) > BRIGHTER:
        told.append(Reason("other_brightness", {"change": found.lighter}))
    if found.tinted > TINTED:
        told.append(Reason("other_colour", {"change": found.tinted}))
    return told


def _of_gain(trial: Trial) -> list[Reason]:
    """Say so where nothing became better that is measured."""
    found = trial.quality
    before, after = _ends(trial.similarity)
    is_sharper = found.held_px_after >= MORE_HELD * found.held_px_before or (
        found.held_px_before < BLURRED_PX and found.fine_detail >= MORE_FINE
    )
    is_calmer = found.noise_before >= NOISE_SEEN and found.noise_after <= LESS_NOISE * found.noise_before
    is_more_alike = before is not None and after is not None and after >= before + MORE_ALIKE
    return [] if is_sharper or is_calmer or is_more_alike else [Reason("no_gain")]


def _ends(likeness: Similarity) -> tuple[float | None, float | None]:
    return likeness.input_to_references, likeness.output_to_references


@dataclass(frozen=True)
class Maker:
    """By what a face was made: the seed, and the method's name."""

    seed: int
    method: str


def receipt(
    plan: Plan, judged: Judged, trial: Trial | None, maker: Maker, refused: Sequence[Reason] = ()
) -> FaceResult:
    """Tell of a face what was done to it: one way that was taken, or nothing (`None`), and why not more."""
    reasons = [*([plan.reason] if plan.reason else []), *refused]
    similarity = judged.similarity
    if trial is not None:
        similarity = trial.similarity
        reasons += _remarks(trial, plan, reasons)
    elif plan.is_restored:
        similarity = replace(similarity, output_to_references=similarity.input_to_references, output_to_input=1.0)
    return FaceResult(
        plan.face.box,
        "unchanged" if trial is None else trial.way,
        tuple(reasons),
        similarity,
        maker.seed,
        maker.method,
        plan.led_by.person if plan.led_by else None,
        plan.probability,
        plan.is_matched and plan.is_restored,
        None if trial is None else trial.quality,
    )


def _remarks(trial: Trial, plan: Plan, told: Sequence[Reason]) -> list[Reason]:
    """Say of a face drawn anew that it hardly looks like the person, where that is not a reason to take it back."""
    chance = trial.result_probability
    is_said = plan.is_matched or any(reason.code == "hardly_alike" for reason in told)
    if trial.way != "restored" or is_said or chance is None or chance >= UNLIKELY:
        return []
    return [Reason("hardly_alike", {"probability": chance}, "restored", kept=True)]
