"""Who is who in an album, on embeddings whose cosines are known exactly."""

from collections.abc import Sequence

import numpy as np
import pytest

from keepface.engine.grouping import Faces, group

FLOOR = 0.5


def floor(_: int) -> float:
    return FLOOR


def with_cosines(cosines: Sequence[Sequence[float]]) -> np.ndarray:
    """Return unit vectors that have these cosines to each other."""
    return np.linalg.cholesky(np.asarray(cosines, float) + 1e-12 * np.eye(len(cosines)))


def people(*sizes: int, spread: float = 0.4, dim: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw people who are orthogonal to each other, each face a little off its person; return faces and whose."""
    rng = np.random.default_rng(seed)
    whose = np.repeat(np.arange(len(sizes)), sizes)
    off = rng.standard_normal((len(whose), dim)) * spread / np.sqrt(dim)
    faces = np.eye(dim)[whose] + off
    return faces / np.linalg.norm(faces, axis=1, keepdims=True), whose


def faces(embeddings: np.ndarray, photos: Sequence[int] | None = None, vague: Sequence[int] = ()) -> Faces:
    clear = np.ones(len(embeddings), bool)
    clear[list(vague)] = False
    return Faces(embeddings, np.arange(len(embeddings)) if photos is None else np.asarray(photos), clear)


def test_people_who_are_apart_are_told_apart() -> None:
    embeddings, whose = people(5, 3, 1)
    found = group(faces(embeddings), floor)
    assert [[whose[face] for face in one] for one in found] == [[0] * 5, [1] * 3, [2]]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_faces_makes_no_difference(seed: int) -> None:
    embeddings, _ = people(6, 4, 4, 2, spread=1.0, seed=seed)
    photos = np.array([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2, 6, 0, 6])
    vague = np.array([3, 8, 13])
    order = np.random.default_rng(seed).permutation(len(photos))
    straight = group(faces(embeddings, photos, vague), floor)
    place = {int(old): new for new, old in enumerate(order)}
    shuffled = group(faces(embeddings[order], photos[order], [place[int(old)] for old in vague]), floor)
    assert {frozenset(one) for one in straight} == {frozenset(int(order[new]) for new in one) for one in shuffled}


def test_two_faces_of_one_photo_are_two_people_however_alike() -> None:
    twins = faces(with_cosines([[1, 0.8, 0.7], [0.8, 1, 0.75], [0.7, 0.75, 1]]), [0, 0, 1])
    assert group(twins, floor) == [(1, 2), (0,)]  # the third is of whom it is more like


def test_the_constraint_holds_through_others() -> None:
    """Two pairs are alike, and one face of each is in the same photo: no average may bring the pairs together."""
    cosines = np.full((4, 4), 0.85) + 0.15 * np.eye(4)
    cosines[0, 1] = cosines[1, 0] = cosines[2, 3] = cosines[3, 2] = 0.89
    assert group(faces(with_cosines(cosines), [0, 1, 0, 2]), floor) == [(0, 1), (2, 3)]


def test_copies_of_one_picture_in_one_photo_are_one_person() -> None:
    assert group(faces(with_cosines([[1, 0.95], [0.95, 1]]), [0, 0]), floor) == [(0, 1)]


def test_a_chain_of_weak_links_does_not_make_two_people_one() -> None:
    """Neighbours are alike by 0.6, all others by nothing: what is alike on average is two at most."""
    cosines = np.eye(6) + 0.55 * (np.eye(6, k=1) + np.eye(6, k=-1))
    found = group(faces(with_cosines(cosines)), floor)
    assert max(len(one) for one in found) == 2 and len(found) == 3


def test_one_pair_that_is_alike_by_chance_joins_no_two_people() -> None:
    cosines = np.full((6, 6), 0.3)
    for one in ((0, 1, 2), (3, 4, 5)):
        cosines[np.ix_(one, one)] = 0.75 + 0.25 * np.eye(3)
    cosines[2, 3] = cosines[3, 2] = 0.55  # above the floor; the average of the nine is 0.33
    assert group(faces(with_cosines(cosines)), floor) == [(0, 1, 2), (3, 4, 5)]


@pytest.mark.parametrize(("alike", "joins"), [(0.52, True), (0.48, False)])
def test_a_vague_face_joins_what_it_is_clearly_like_and_else_stays_alone(alike: float, joins: bool) -> None:
    cosines = [[1, 0.8, alike], [0.8, 1, alike], [alike, alike, 1]]
    assert group(faces(with_cosines(cosines), vague=[2]), floor) == ([(0, 1, 2)] if joins else [(0, 1), (2,)])


def test_a_vague_face_that_is_as_like_two_people_stays_alone() -> None:
    both = [[1, 0.2, 0.6], [0.2, 1, 0.57], [0.6, 0.57, 1]]
    assert group(faces(with_cosines(both), vague=[2]), floor) == [(0,), (1,), (2,)]


def test_vague_faces_bring_nobody_in() -> None:
    """Two that are like each other alone, and one that is like a vague face and no clear one."""
    cosines = np.eye(4)
    cosines[0, 1] = cosines[1, 0] = 0.7
    cosines[1, 2] = cosines[2, 1] = 0.7  # 1 is vague and joins 0; 2 is like it, and not like 0
    assert group(faces(with_cosines(cosines), vague=[1, 2, 3]), floor) == [(0, 1), (2,), (3,)]
    assert group(faces(with_cosines(cosines), vague=[0, 1, 2, 3]), floor) == [(0,), (1,), (2,), (3,)]


def test_of_two_vague_faces_of_one_photo_the_more_alike_joins() -> None:
    cosines = [[1, 0.6, 0.8], [0.6, 1, 0.5], [0.8, 0.5, 1]]
    assert group(faces(with_cosines(cosines), [0, 1, 1], vague=[1, 2]), floor) == [(0, 2), (1,)]


def test_a_vague_face_is_not_who_stands_beside_it() -> None:
    cosines = [[1, 0.8, 0.6], [0.8, 1, 0.6], [0.6, 0.6, 1]]
    assert group(faces(with_cosines(cosines), [0, 1, 1], vague=[2]), floor) == [(0, 1), (2,)]


def test_more_faces_of_a_person_may_ask_for_less_likeness() -> None:
    def lower(count: int) -> float:
        return {1: 0.5, 2: 0.4}[count]

    cosines = [[1, 0.8, 0.45], [0.8, 1, 0.45], [0.45, 0.45, 1]]
    assert group(faces(with_cosines(cosines), vague=[2]), lower) == [(0, 1, 2)]
    assert group(faces(with_cosines([[1, 0.45], [0.45, 1]]), vague=[1]), lower) == [(0,), (1,)]


def test_components_are_clustered_as_all_would_be_together() -> None:
    """Against average linkage over the whole matrix, on people who overlap."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    embeddings, _ = people(9, 8, 7, 6, 5, spread=1.1, seed=3)
    labels = fcluster(linkage(pdist(embeddings, "cosine"), "average"), 1 - FLOOR, "distance")
    whole = {frozenset(np.flatnonzero(labels == label).tolist()) for label in labels}
    assert {frozenset(one) for one in group(faces(embeddings), floor)} == whole
    assert 5 < len(whole) < 35  # neither trivial


def test_an_album_without_faces_has_no_people() -> None:
    assert group(faces(np.zeros((0, 4))), floor) == []
