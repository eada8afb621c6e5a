"""The reference doctor: what is wrong with each photo of a person, and which photo to add next.

It measures what can be measured with five points and a recogniser. What it can't tell it says: NOT_CHECKED.

    Varanka et al. 2024, "PFStorer: Personalized Face Restoration and Super-Resolution"  [PFStorer]
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import align_ffhq
from keepface.faces.judge import Fitness, judge
from keepface.identity.compare import cosine
from keepface.identity.embed import IdentityFeatures, outliers
from keepface.image.files import Photo
from keepface.people.features import PhotoFeatures
from keepface.people.person import ReferencePhoto

LOOK_PX, LOOK_RIM_PX = 64, 8  # of the upright square that near-duplicates are found in, without its rim
# ours: correlation of two such squares. 60 pairs of different photos of ten LFW people reach 0.79; 120 copies of them
# (JPEG at 30, half the size, cropped, brightened, made grey, turned by 4 degrees) reach no less than 0.94.
SAME_PICTURE = 0.9
FRONTAL_DEG = 15.0  # ours: the pose is known to about 10 degrees
ENOUGH = 3  # photos; PFStorer is tuned on 3 to 5 [PFStorer]
LARGE_PX, SHARP = 256.0, 0.56  # ours: of the face's square; blur of an LFW square after a Gaussian of sigma 1
ANOTHER_PERSON = "looks like somebody else than the other photos"
NOT_CHECKED = (
    "what hides a part of the face (sunglasses, hands, hair): nothing that ships with keepface tells it reliably",
    "looking up or down, the expression, the light, and whether the photo was retouched or restored before",
)


@dataclass(frozen=True, eq=False)
class Examined:
    """What one photo gave; small, so that the photos need not be in memory together."""

    record: ReferencePhoto
    features: IdentityFeatures
    fitness: Fitness
    look: Float[Tensor, "n"]  # of the upright face in grey, mean 0, length 1
    is_grey: bool


@dataclass(frozen=True)
class PhotoFinding:
    """What is known of one photo."""

    name: str
    year: int | None
    size_px: float | None  # side of the face's upright square in the photo; None: the photo gave nothing
    blur: float | None  # 0 sharp to 1 blurred
    yaw_deg: float | None  # positive when the nose points to the right of the picture; about 10 degrees right
    roll_deg: float | None
    likeness: float | None  # mean cosine to the other photos; None: there are no others
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What is known of all photos of a person."""

    photos: tuple[PhotoFinding, ...]
    add_next: tuple[str, ...]  # empty: nothing is missing
    not_checked: tuple[str, ...] = NOT_CHECKED

    @property
    def is_well(self) -> bool:
        """Tell whether no photo has a problem."""
        return not any(finding.problems for finding in self.photos)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def examine(record: ReferencePhoto, photo: Photo, kept: PhotoFeatures) -> Examined:
    """Measure one photo, whose face is known from its features."""
    face = kept.features.face
    square = (
        align_ffhq(photo.pixels, face.points, LOOK_PX)
        .crop.mean(0)[LOOK_RIM_PX:-LOOK_RIM_PX, LOOK_RIM_PX:-LOOK_RIM_PX]
        .flatten()
    )
    look = square - square.mean()
    fitness = judge(photo.pixels, face)
    return Examined(record, kept.features, fitness, look / look.norm().clamp_min(1e-9), photo.is_grey)


def diagnose(examined: Sequence[Examined], unusable: Sequence[tuple[ReferencePhoto, str]] = ()) -> Diagnosis:
    """Compare the photos of a person with each other; `unusable` are those that gave nothing, with the reason."""
    strangers = set(outliers([item.features for item in examined]))
    findings, good = [], []
    for index, item in enumerate(examined):
        problems = list(item.fitness.problems)
        if index in strangers and not item.record.is_sure:
            problems.append(ANOTHER_PERSON)
        twin = next((other for other in examined[:index] if is_same_picture(item, other)), None)
        if twin is not None:
            problems.append(f"is nearly the same picture as {twin.record.name}")
        if not problems:
            good.append(item)
        findings.append(_finding(item, _likeness(index, examined), problems))
    findings += [
        PhotoFinding(record.name, record.year, None, None, None, None, None, (reason,)) for record, reason in unusable
    ]
    return Diagnosis(tuple(findings), tuple(advice(good)))


def is_same_picture(one: Examined, other: Examined) -> bool:
    """Tell whether two photos are one picture, up to size, compression, crop and colour."""
    return float(one.look @ other.look) >= SAME_PICTURE


def advice(good: Sequence[Examined]) -> list[str]:
    """Say which photos to add next, the most needed first, to those that are fit to be references."""
    if not good:
        return ["no photo is fit to be a reference: add a sharp one in which the face is at least 80 px wide"]
    said = []
    if len(good) < ENOUGH:
        said.append(f"{_number(len(good))} fit to be used: add {ENOUGH - len(good)} more; 3 to 5 are best")
    said += _poses([item.fitness.yaw_deg for item in good])
    largest = max(item.fitness.size_px for item in good)
    if largest < LARGE_PX:
        said.append(f"the largest face is {largest:.0f} px wide: add a photo in which it is {LARGE_PX:.0f} px or more")
    if min(item.fitness.blur for item in good) > SHARP:
        said.append("none is really sharp: add one that is")
    if all(item.is_grey for item in good):
        said.append("all are black and white: add one in colour")
    years = [item.record.year for item in good if item.record.year is not None]
    if len(years) == len(good) > 1 and min(years) == max(years):
        said.append(f"all are from {years[0]}: add one from the time of the photos that you want to restore")
    return said


def _poses(yaws_deg: Sequence[float]) -> list[str]:
    frontal = any(abs(yaw) < FRONTAL_DEG for yaw in yaws_deg)
    left, right = any(yaw <= -FRONTAL_DEG for yaw in yaws_deg), any(yaw >= FRONTAL_DEG for yaw in yaws_deg)
    said = [] if frontal else ["none is frontal: add one that looks into the camera"]
    if not left and not right:
        return [*said, "all are frontal: add one turned to the left or the right"]
    if not right:
        said.append("none is turned to the right of the picture: add one")
    if not left:
        said.append("none is turned to the left of the picture: add one")
    return said


def _likeness(index: int, examined: Sequence[Examined]) -> float | None:
    """Compare one photo with all but itself."""
    own = examined[index].features.recogniser
    others = [item.features.recogniser for number, item in enumerate(examined) if number != index]
    return float(cosine(own.expand(len(others), -1), torch.stack(others)).mean()) if others else None


def _finding(item: Examined, likeness: float | None, problems: Sequence[str]) -> PhotoFinding:
    fitness = item.fitness
    return PhotoFinding(
        name=item.record.name,
        year=item.record.year,
        size_px=round(fitness.size_px, 1),
        blur=round(fitness.blur, 3),
        yaw_deg=round(fitness.yaw_deg, 1),
        roll_deg=round(fitness.roll_deg, 1),
        likeness=None if likeness is None else round(likeness, 4),
        problems=tuple(problems),
    )


def _number(count: int) -> str:
    return "only 1 photo is" if count == 1 else f"only {count} photos are"
