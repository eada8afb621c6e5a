"""Groups of the people measured: by the collection of their photos, and those whose references are turned otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keepface.bench.photos import Photos
from keepface.bench.plan import Points, Target, pose_and_mouth

STRONG_TURN = 0.2  # ours: in distances between the eyes


@dataclass(frozen=True)
class Group:
    """People who have something in common; results are also told for them alone."""

    name: str
    meaning: str
    people: frozenset[str]


def groups(photos: Photos, targets: Sequence[Target]) -> tuple[Group, ...]:
    """Return each collection, where there are several, and the strong turns; a group without people is left out."""
    sources = [photos.sources[target.photo] for target in targets]
    found = [
        Group(
            f"source {name}",
            f"people whose photo is of the collection {name}",
            frozenset(target.person for target, source in zip(targets, sources, strict=True) if source == name),
        )
        for name in (sorted(set(sources)) if len(set(sources)) > 1 else ())
    ]
    turned = frozenset(target.person for target in targets if turned_apart(target, photos.points) >= STRONG_TURN)
    meaning = (
        "people whose head is turned otherwise in the photo restored than in their references: the nose's place "
        f"between the eyes differs by {STRONG_TURN} of the eyes' distance or more, in the mean over up to four "
        "references"
    )
    found.append(Group("strong turns", meaning, turned))
    return tuple(group for group in found if group.people)


def turned_apart(target: Target, points: Points) -> float:
    """Return how differently a head is turned in the target and in its references, in distances between the eyes.

    mean_r |t(target) - t(r)|, where t = (nose - middle of the eyes) . u / |u|^2 and u leads from the left eye to the
    right one: 0 for a face that looks into the camera, and as the tangent of the angle as it turns.
    """
    place, *others = (pose_and_mouth(points(index))[0] for index in (target.photo, *target.references))
    return float(np.mean([abs(place - other) for other in others]))
