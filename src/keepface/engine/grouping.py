"""Whose faces are these? Group the faces of an album by person, from embeddings alone; nobody's name is known.

Faces that are clear enough to be recognised are clustered first, by average linkage, so that one pair that is alike by
chance does not chain two people together. The others then join a group, or stay alone. Two faces of one photo are two
people, unless they are one picture twice.

    Sokal and Michener 1958, "A statistical method for evaluating systematic relationships" (average linkage)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from keepface.engine.matching import COPY
from keepface.errors import MissingExtraError

MARGIN = 0.05  # ours: cosine by which a face that is not clear must be more like its group than like any other
ROWS = 1024  # ours: of the matrix of cosines, in memory at once

Floor = Callable[[int], float]  # by how many faces of a person: the mean cosine to them that strangers do not reach


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of an album, each by what it is recognised by, in an order that does not depend on who gives them."""

    embeddings: Float[np.ndarray, "n d"]  # unit length
    photos: Int[np.ndarray, "n"]  # the photo of each, as a number
    clear: Bool[np.ndarray, "n"]  # enough to be recognised

    def __post_init__(self) -> None:
        assert len(self.embeddings) == len(self.photos) == len(self.clear), "one row a face"


def group(faces: Faces, floor: Floor) -> list[tuple[int, ...]]:
    """Return the persons as tuples of faces, each face in exactly one; the largest first, of equals the first face's.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    labels = np.arange(len(faces.photos))
    clear = np.flatnonzero(faces.clear)
    if len(clear):
        labels[clear] = clear[_clustered(faces.embeddings[clear], faces.photos[clear], floor(1))]
        _join(labels, faces, floor)
    groups: dict[int, list[int]] = {}
    for face, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(face)
    return sorted((tuple(members) for members in groups.values()), key=lambda members: (-len(members), members))


def may_be_one(
    embeddings: Float[np.ndarray, "n d"], photos: Int[np.ndarray, "n"], rows: slice
) -> tuple[Float[np.ndarray, "r n"], Bool[np.ndarray, "r n"]]:
    """Return cosines of some faces to all, and which of those pairs can be one person: not two faces of one photo."""
    alike = embeddings[rows] @ embeddings.T
    return alike, (photos[rows, None] != photos[None]) | (alike >= COPY)


def _clustered(
    embeddings: Float[np.ndarray, "n d"], photos: Int[np.ndarray, "n"], least: float
) -> Int[np.ndarray, "n"]:
    """Return for each face the first face of its cluster; within a cluster cosines are at least `least` on average.

    A merge at this height needs a pair as alike, so clusters lie within the connected components of such pairs, and
    each component is clustered by itself: no matrix of all pairs is in memory.
    """
    labels = np.arange(len(photos))
    for members in _components(embeddings, photos, least):
        for own in _linked(embeddings[members], photos[members], least):
            labels[members[own]] = members[own[0]]
    return labels


def _components(
    embeddings: Float[np.ndarray, "n d"], photos: Int[np.ndarray, "n"], least: float
) -> list[Int[np.ndarray, "m"]]:
    """Return the faces that pairs as alike as `least` connect, two or more together."""
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError:
        raise MissingExtraError("grouping faces needs SciPy: pip install 'keepface[grouping]'") from None

    ones, others = [], []
    for first in range(0, len(photos), ROWS):
        alike, allowed = may_be_one(embeddings, photos, slice(first, first + ROWS))
        near = np.nonzero((alike >= least) & allowed)
        ones.append(near[0] + first)
        others.append(near[1])
    places = (np.concatenate(ones), np.concatenate(others))
    graph = coo_array((np.ones(len(places[0]), np.int8), places), shape=(len(photos), len(photos)))
    _, found = connected_components(graph, directed=False)
    order = np.argsort(found, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(found[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _linked(
    embeddings: Float[np.ndarray, "n d"], photos: Int[np.ndarray, "n"], least: float
) -> list[Int[np.ndarray, "m"]]:
    """Cluster by average linkage; a pair that can't be one person is so far apart that no average brings it near."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    count = len(photos)
    alike, allowed = may_be_one(embeddings, photos, slice(None))
    apart = np.where(allowed, np.clip(1 - alike, 0, None), float(count * count))
    np.fill_diagonal(apart, 0)
    found = fcluster(linkage(squareform(apart, checks=False), "average"), 1 - least, "distance")
    return [np.flatnonzero(found == number) for number in np.unique(found)]


def _join(labels: Int[np.ndarray, "n"], faces: Faces, floor: Floor) -> None:
    """Let faces that are not clear join the group they are most like, if that is beyond doubt; the most alike first.

    Only clear members count: faces that joined bring nobody in. A face whose group has another face of its photo stays
    alone, and so does one that is about as like another group.
    """
    vague = np.flatnonzero(~faces.clear)
    names, inverse, sizes = np.unique(labels[faces.clear], return_inverse=True, return_counts=True)
    if not len(vague):
        return
    sums = np.zeros((len(names), faces.embeddings.shape[1]))
    np.add.at(sums, inverse, faces.embeddings[faces.clear])
    alike = faces.embeddings[vague] @ (sums / sizes[:, None]).T  # the mean cosine to a group's clear members
    beside = _beside(faces)
    for row, face in enumerate(vague.tolist()):
        barred = [labels[other] for other in beside[face]]  # of faces that are not clear: their own, no group's
        alike[row, np.isin(names, barred)] = -1.0
    best = alike.argmax(1)
    second = np.partition(alike, -2, axis=1)[:, -2] if len(names) > 1 else np.full(len(vague), -1.0)
    for row in np.argsort(-alike.max(1), kind="stable").tolist():
        face, place, value = int(vague[row]), int(best[row]), float(alike[row, best[row]])
        is_sure = value >= floor(int(sizes[place])) and value >= second[row] + MARGIN
        if is_sure and all(labels[other] != names[place] for other in beside[face]):
            labels[face] = names[place]


def _beside(faces: Faces) -> list[list[int]]:
    """Return for each face those of its photo that must be other people: all but copies of its picture."""
    of_photo: dict[int, list[int]] = {}
    for face, photo in enumerate(faces.photos.tolist()):
        of_photo.setdefault(photo, []).append(face)
    return [
        [other for other in of_photo[photo] if faces.embeddings[face] @ faces.embeddings[other] < COPY]
        for face, photo in enumerate(faces.photos.tolist())
    ]
