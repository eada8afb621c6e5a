"""Reference pools: for each person many poses and expressions, synthesised where real photos do not show them.

Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
Arthur & Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding"  [KMEANS++]

Pose and expression of all photos are clustered into 3 x 3 cells. For each target and each cell, a photo of the cell
gives its pose to a synthesised photo of the target's person; what does not look like the person is drawn again.
What passes joins the pack under the same identity, beside the real photos of the person and the target itself, so that
nobody is without a reference (`keepface.data.pool_pack`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from keepface.errors import DataError, RecipeError
from keepface.seeds import derive, numpy_generator

GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Pose theta and expression psi of one face, in units of their estimator."""

    theta: Float[np.ndarray, "6"]
    psi: Float[np.ndarray, "k"]


@runtime_checkable
class PoseExpression(Protocol):
    """Whoever reads pose and expression off a crop; EMOCA in the paper."""

    def estimate(self, image: Float[Tensor, "3 s s"], landmarks: Float[np.ndarray, "5 2"]) -> Estimate:
        """Estimate one face; `landmarks` are (x, y) px of the crop."""
        ...


class LandmarkPose:
    """Pose from the five points, expression from coarse patches of mouth and eyes; needs no network.  # ours

    theta = roll, yaw, pitch, and the mouth's tilt, distance and offset; angles in radians, the rest in eye distances.
    psi = width of the mouth, and the grey means of a 6 x 4 mouth patch and two 4 x 3 eye patches, contrast evened out.
    """

    def estimate(self, image: Float[Tensor, "3 s s"], landmarks: Float[np.ndarray, "5 2"]) -> Estimate:
        """Estimate one face."""
        left, right, nose, mouth_left, mouth_right = upright(landmarks)
        eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
        across = landmarks[1] - landmarks[0]
        tilt = mouth_right - mouth_left
        pitch = (nose[1] - eyes[1]) / max(mouth[1] - eyes[1], 1e-6)
        theta = [np.arctan2(across[1], across[0]), nose[0] - eyes[0], pitch, np.arctan2(tilt[1], tilt[0])]
        theta += [mouth[1] - eyes[1], mouth[0] - eyes[0]]
        grey: np.ndarray = np.tensordot(GREY, image.numpy(), 1)
        patches = [
            _patch(grey, landmarks, mouth, (1.3, 0.8), (6, 4)),
            _patch(grey, landmarks, left, (0.6, 0.45), (4, 3)),
            _patch(grey, landmarks, right, (0.6, 0.45), (4, 3)),
        ]
        return Estimate(np.array(theta), np.concatenate([[np.hypot(*tilt)], *patches]))


def upright(landmarks: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "5 2"]:
    """Turn and scale five points so that the eyes lie level, one unit apart, around the origin."""
    z = landmarks[:, 0] + 1j * landmarks[:, 1]
    w = (z - (z[0] + z[1]) / 2) / (z[1] - z[0])
    return np.stack([w.real, w.imag], axis=1)


@dataclass(frozen=True, eq=False)
class Clusters:
    """The result of k-means: each point's cluster, the centres, and the sum of squared distances to them."""

    labels: Int[np.ndarray, "n"]
    centres: Float[np.ndarray, "k d"]
    inertia: float


def kmeans(x: Float[np.ndarray, "n d"], k: int, rng: np.random.Generator, most: int = 100) -> Clusters:
    """Group points by Lloyd's algorithm from k-means++ seeds, at most `most` rounds. [KMEANS++]

    An empty cluster takes over the point that lies furthest from its centre.

    Raises:
        DataError: fewer points than clusters.
    """
    if len(x) < k:
        raise DataError(f"{len(x)} photos can't be grouped into {k} clusters")
    centres = _seeds(x, k, rng)
    labels = np.full(len(x), -1)
    for _ in range(most):
        distances = _squared_distances(x, centres)
        nearest = distances.argmin(1)
        for cluster in range(k):
            if not (nearest == cluster).any():
                nearest[np.where(np.bincount(nearest, minlength=k)[nearest] > 1, distances.min(1), -1).argmax()] = (
                    cluster
                )
        if (nearest == labels).all():
            break
        labels = nearest
        centres = np.stack([x[labels == cluster].mean(0) for cluster in range(k)])
    return Clusters(labels, centres, float(((x - centres[labels]) ** 2).sum()))


def nested_kmeans(
    theta: Float[np.ndarray, "n 6"], psi: Float[np.ndarray, "n k"], outer: int, inner: int, rng: np.random.Generator
) -> Int[np.ndarray, "n"]:
    """Cluster by pose, then each pose by expression. [FaceMe, Training Data Pool Construction]

    The cell is pose * inner + expression. Columns are first brought to mean 0 and deviation 1. A pose with fewer photos
    than `inner` fills fewer cells.
    """
    poses = kmeans(_standardised(theta), outer, rng).labels
    labels = np.zeros(len(theta), np.int64)
    for pose in range(outer):
        members = np.flatnonzero(poses == pose)
        expressions = kmeans(_standardised(psi[members]), min(inner, len(members)), rng).labels
        labels[members] = pose * inner + expressions
    return labels


@dataclass(frozen=True)
class PoolSettings:
    """How many cells there are, and when a synthesised photo is good enough."""

    delta: float = 0.5  # least cosine with the target's person; the paper names no value
    tries: int = 3  # draws of a pose for each target and cell, as in the paper
    poses: int = 3
    expressions: int = 3  # within each pose
    seed: int = 0
    limit: int | None = None  # only the first so many targets
    batch: int = 8  # places that are synthesised together

    def __post_init__(self) -> None:
        if not -1 <= self.delta <= 1:
            raise RecipeError(f"delta is {self.delta}; it is a cosine, -1 to 1")
        for name in ("tries", "poses", "expressions", "batch"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; at least 1 is needed")


@dataclass(frozen=True)
class Place:
    """What a synthesised photo is wanted for: a target's person, in the pose and expression of a cell."""

    target: int
    cell: int


@dataclass(frozen=True)
class Attempt:
    """One synthesised photo: whose pose it was given, and its cosine with the target's person."""

    pose: int
    sameness: float


@dataclass(frozen=True, eq=False)
class Likeness:
    """How much a picture looks like a target's person, and where its face's five points are, (x, y) px."""

    sameness: float  # cosine
    landmarks: Float[np.ndarray, "5 2"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What came of one place: all its attempts, and the picture of the last one if it passed."""

    place: Place
    attempts: tuple[Attempt, ...]
    picture: Float[Tensor, "3 s s"] | None
    landmarks: Float[np.ndarray, "5 2"] | None


@runtime_checkable
class Synthesiser(Protocol):
    """Whoever draws new photos of targets' people in the poses of other photos; Arc2Face in the paper."""

    def settings(self) -> dict[str, Any]:
        """Say in plain values all that the pictures depend on besides the pack."""
        ...

    def synthesise(
        self, targets: Sequence[int], poses: Sequence[int], seeds: Sequence[int]
    ) -> Float[Tensor, "b 3 s s"]:
        """Draw the person of each target in the pose and with the expression of the photo beside it.

        Picture i depends on the i-th target, pose and seed alone.
        """
        ...


Judge = Callable[[Float[Tensor, "3 s s"], int], Likeness]  # a picture, and the target whose person it should show


def places(targets: Sequence[int], labels: Int[np.ndarray, "n"]) -> list[Place]:
    """List what a pool wants: each target's person in every cell that any photo shows."""
    return [Place(target, cell) for target in targets for cell in np.unique(labels).tolist()]


def build_pool(
    wanted: Sequence[Place],
    labels: Int[np.ndarray, "n"],
    synthesiser: Synthesiser,
    judge: Judge,
    settings: PoolSettings,
) -> Iterator[tuple[Drawn, ...]]:
    """Synthesise a photo for each place, some places at a time. [FaceMe, Training Data Pool Construction]

    A photo with sameness below delta is drawn again with another pose of the cell, three tries in all. What comes of
    a place depends on the place and the seed alone, so work can go on anywhere. `labels` are the cells of all photos.
    """
    members = {cell: np.flatnonzero(labels == cell) for cell in np.unique(labels).tolist()}
    for start in range(0, len(wanted), settings.batch):
        yield _draw(wanted[start : start + settings.batch], members, synthesiser, judge, settings)


def _draw(
    batch: Sequence[Place],
    members: Mapping[int, Int[np.ndarray, "m"]],
    synthesiser: Synthesiser,
    judge: Judge,
    settings: PoolSettings,
) -> tuple[Drawn, ...]:
    """Draw the places of a batch, together; those that did not pass are drawn again, together."""
    attempts: dict[Place, list[Attempt]] = {place: [] for place in batch}
    kept: dict[Place, tuple[Tensor, np.ndarray]] = {}
    left = list(batch)
    for number in range(1, settings.tries + 1):
        names = [("pool", place.target, place.cell, number) for place in left]
        poses = [
            int(numpy_generator(settings.seed, *name).choice(members[place.cell]))
            for place, name in zip(left, names, strict=True)
        ]
        seeds = [derive(settings.seed, *name, "picture") for name in names]
        pictures = synthesiser.synthesise([place.target for place in left], poses, seeds)
        for place, pose, picture in zip(left, poses, pictures, strict=True):
            likeness = judge(picture, place.target)
            attempts[place].append(Attempt(pose, likeness.sameness))
            if likeness.sameness >= settings.delta:
                kept[place] = (picture, likeness.landmarks)
        left = [place for place in left if place not in kept]
        if not left:
            break
    return tuple(Drawn(place, tuple(attempts[place]), *kept.get(place, (None, None))) for place in batch)


def _patch(
    grey: Float[np.ndarray, "s s"],
    landmarks: Float[np.ndarray, "5 2"],
    centre: Float[np.ndarray, "2"],
    extent: tuple[float, float],
    grid: tuple[int, int],
) -> Float[np.ndarray, "g"]:
    """Average grey over a grid around a point of the upright face, `extent` in eye distances, mean 0, deviation 1."""
    fine = 4  # samples along each cell
    columns, rows = grid[0] * fine, grid[1] * fine
    middle, across = landmarks[:2].mean(0), landmarks[1] - landmarks[0]
    turn = np.array([[across[0], -across[1]], [across[1], across[0]]])  # of the upright face into the crop
    steps = np.diag([extent[0] / columns, extent[1] / rows])
    corner = centre - (np.array(extent) - np.diag(steps)) / 2
    matrix = np.concatenate([turn @ steps, (turn @ corner + middle)[:, None]], axis=1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(grey, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    means = patch.reshape(grid[1], fine, grid[0], fine).mean((1, 3)).ravel().astype(np.float64)
    evened: np.ndarray = (means - means.mean()) / (means.std() + 1e-3)
    return evened


def _seeds(x: Float[np.ndarray, "n d"], k: int, rng: np.random.Generator) -> Float[np.ndarray, "k d"]:
    centres = [x[rng.integers(len(x))]]
    while len(centres) < k:
        distance = _squared_distances(x, np.stack(centres)).min(1)
        total = distance.sum()
        centres.append(x[rng.choice(len(x), p=distance / total if total > 0 else None)])
    return np.stack(centres)


def _squared_distances(x: Float[np.ndarray, "n d"], centres: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "n k"]:
    return np.stack([((x - centre) ** 2).sum(1) for centre in centres], axis=1)


def _standardised(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    scaled: np.ndarray = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    return scaled
