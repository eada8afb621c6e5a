"""Reference pools: for each person many poses and expressions, synthesised where real photos do not show them.

Liu et al., AAAI 2025, "FaceMe: Robust Blind Face Restoration with Personal Identification"  [FaceMe]
Arthur & Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding"  [KMEANS++]

Pose and expression of all photos are clustered into 3 x 3 cells. For each target and each cell, a photo of the cell
gives its pose to a synthesised photo of the target's person; what does not look like the person is drawn again.
Real photos of the person and the target itself join, so that nobody is without a reference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from keepface.data.identities import by_person, real_references
from keepface.errors import DataError
from keepface.seeds import numpy_generator

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
        patches = [
            _patch(image, landmarks, mouth, (1.3, 0.8), (6, 4)),
            _patch(image, landmarks, left, (0.6, 0.45), (4, 3)),
            _patch(image, landmarks, right, (0.6, 0.45), (4, 3)),
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
    """Cluster by pose, then each pose by expression: cell = pose * inner + expression. [FaceMe, Training Data Pool Construction]

    Columns are first brought to mean 0 and deviation 1. A pose with fewer photos than `inner` fills fewer cells.
    """
    poses = kmeans(_standardised(theta), outer, rng).labels
    labels = np.zeros(len(theta), np.int64)
    for pose in range(outer):
        members = np.flatnonzero(poses == pose)
        expressions = kmeans(_standardised(psi[members]), min(inner, len(members)), rng).labels
        labels[members] = pose * inner + expressions
    return labels


@runtime_checkable
class Synthesiser(Protocol):
    """Whoever draws a new photo of a target's person in the pose of another photo; Arc2Face in the paper."""

    def synthesise(self, target: int, pose: int, rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
        """Draw the person of photo `target` in the pose and with the expression of photo `pose`."""
        ...


Sameness = Callable[[Float[Tensor, "3 s s"], int], float]  # cosine of a picture with the person of a target


@dataclass(frozen=True)
class PoolSettings:
    """When a synthesised photo is good enough."""

    delta: float = 0.5  # least cosine with the target's person; the paper names no value
    tries: int = 3  # draws of a pose for each target and cell [FaceMe, Training Data Pool Construction]


@dataclass(frozen=True)
class Attempt:
    """One synthesised photo, kept or not."""

    target: int
    cell: int
    pose: int
    number: int  # 1 for the first try
    sameness: float
    is_kept: bool


@dataclass(frozen=True)
class Pool:
    """The references of every target and how they came about."""

    log: tuple[Attempt, ...]
    references: dict[int, tuple[int, ...]]  # target: real photos of the person, the target itself last
    cells: int

    @property
    def kept(self) -> tuple[Attempt, ...]:
        """Return the synthesised photos that passed."""
        return tuple(attempt for attempt in self.log if attempt.is_kept)

    @property
    def fill(self) -> float:
        """Return the share of (target, cell) that got a synthesised photo; the paper's is 0.977."""
        wanted = len({(attempt.target, attempt.cell) for attempt in self.log})
        return len(self.kept) / wanted if wanted else 0.0

    @property
    def acceptance(self) -> float:
        """Return the share of synthesised photos that passed."""
        return len(self.kept) / len(self.log) if self.log else 0.0

    def per_cell(self) -> tuple[int, ...]:
        """Count the photos kept of each cell."""
        return tuple(np.bincount([attempt.cell for attempt in self.kept], minlength=self.cells).tolist())

    def count(self, target: int) -> int:
        """Count all references of a target: synthesised, real, and itself."""
        return len(self.references[target]) + sum(attempt.target == target for attempt in self.kept)


def build_pool(
    identities: Sequence[str],
    labels: Int[np.ndarray, "n"],
    synthesiser: Synthesiser,
    sameness: Sameness,
    keep: Callable[[Attempt, Tensor], None],
    settings: PoolSettings,
    seed: int,
) -> Pool:
    """Synthesise references of every photo's person in every cell, and merge in the real ones. [FaceMe, Training Data Pool Construction]

    A photo with sameness below delta is drawn again with another pose of the cell, three tries in all. Each photo that
    passes is handed to `keep`; written as a row of source "synthetic", it is a reference in training, never a target.
    """
    members = {int(cell): np.flatnonzero(labels == cell) for cell in np.unique(labels)}
    log: list[Attempt] = []
    for target in range(len(identities)):
        for cell, poses in members.items():
            rng = numpy_generator(seed, "pool", target, cell)
            for number in range(1, settings.tries + 1):
                pose = int(rng.choice(poses))
                image = synthesiser.synthesise(target, pose, rng)
                cosine = float(sameness(image, target))
                log.append(Attempt(target, cell, pose, number, cosine, cosine >= settings.delta))
                if log[-1].is_kept:
                    keep(log[-1], image)
                    break
    return Pool(tuple(log), real_pool(identities), int(labels.max()) + 1)


def real_pool(identities: Sequence[str]) -> dict[int, tuple[int, ...]]:
    """List for each photo the other real photos of its person and, last, itself, so that everyone has one."""
    people = by_person(identities)
    return {index: (*real_references(people, identity, index), index) for index, identity in enumerate(identities)}


def _patch(
    image: Float[Tensor, "3 s s"],
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
    grey = image.permute(1, 2, 0).contiguous().numpy() @ GREY
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
