import numpy as np
import pytest
import torch

from keepface.data.pools import (
    Drawn,
    LandmarkPose,
    Likeness,
    PoolSettings,
    build_pool,
    kmeans,
    nested_kmeans,
    places,
    upright,
)
from keepface.errors import DataError, RecipeError

from .drawn_faces import POINTS, drawn_row

LABELS = np.array([0, 0, 1, 1])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blobs(centres: np.ndarray, each: int = 30, spread: float = 0.05) -> np.ndarray:
    return (centres[:, None] + spread * rng(9).standard_normal((len(centres), each, centres.shape[1]))).reshape(
        -1, centres.shape[1]
    )


class Painter:
    """Synthesises flat pictures that say who and which seed; the sameness of each call is told beforehand."""

    def __init__(self, sameness: dict[int, list[float]] | None = None) -> None:
        self.sameness = {target: list(values) for target, values in (sameness or {}).items()}
        self.calls: list[tuple[list[int], list[int], list[int]]] = []

    def settings(self) -> dict[str, str]:
        return {"painter": "flat"}

    def synthesise(self, targets: list[int], poses: list[int], seeds: list[int]) -> torch.Tensor:
        self.calls.append((list(targets), list(poses), list(seeds)))
        return torch.stack([torch.full((3, 8, 8), target / 10) for target in targets])

    def judge(self, image: torch.Tensor, target: int) -> Likeness:
        told = self.sameness.get(target, [])
        return Likeness(told.pop(0) if told else 1.0, POINTS * 8)


def build(painter: Painter, settings: PoolSettings = PoolSettings(batch=1)) -> list[Drawn]:  # noqa: B008 - frozen
    wanted = places(range(4), LABELS)
    return [drawn for batch in build_pool(wanted, LABELS, painter, painter.judge, settings) for drawn in batch]


def test_separated_blobs_are_found_whatever_the_seed():
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    for seed in range(10):
        found = kmeans(blobs(centres), 4, rng(seed))
        assert all(len(set(found.labels[start : start + 30])) == 1 for start in range(0, 120, 30))
        order = found.labels[::30]
        assert np.allclose(found.centres[order], centres, atol=0.05)


def test_each_point_is_with_its_nearest_centre_and_each_centre_is_its_points_mean():
    x = rng(1).standard_normal((200, 3))
    found = kmeans(x, 5, rng(2))
    distances = ((x[:, None] - found.centres) ** 2).sum(-1)
    assert np.array_equal(distances.argmin(1), found.labels)
    assert found.inertia == pytest.approx(distances.min(1).sum())
    for cluster in range(5):
        assert np.allclose(found.centres[cluster], x[found.labels == cluster].mean(0))


def test_one_cluster_has_the_variance_as_inertia():
    x = rng(1).standard_normal((50, 2))
    assert kmeans(x, 1, rng()).inertia == pytest.approx(x.var(0).sum() * 50)


def test_equal_points_still_fill_every_cluster():
    assert set(kmeans(np.zeros((6, 2)), 3, rng()).labels) == {0, 1, 2}


def test_more_clusters_than_points_are_refused():
    with pytest.raises(DataError, match="2 photos can't be grouped into 3"):
        kmeans(np.zeros((2, 2)), 3, rng())


def test_nested_clusters_are_poses_times_expressions():
    theta = np.repeat(np.outer([-5.0, 0.0, 5.0], np.ones(6)), 30, axis=0)
    psi = np.tile(np.outer([0.0, 3.0, 9.0], np.ones(4)), (30, 1))
    theta, psi = (x + 0.05 * rng(3).standard_normal(x.shape) for x in (theta, psi))
    labels = nested_kmeans(theta, psi, 3, 3, rng())
    assert sorted(set(labels)) == list(range(9))
    assert set(np.bincount(labels)) == {10}
    assert all(len(set(labels[start : start + 30] // 3)) == 1 for start in (0, 30, 60))


def test_a_pose_with_fewer_photos_than_expressions_fills_fewer_cells():
    theta = np.concatenate([blobs(np.eye(2, 6) * 5, 10), np.full((1, 6), 40.0)])
    labels = nested_kmeans(theta, rng().standard_normal((21, 4)), 3, 3, rng())
    assert len(set(labels)) == 7


def test_a_likeness_that_passes_is_drawn_once_for_each_target_and_cell():
    painter = Painter()
    pool = build(painter)
    assert [(drawn.place.target, drawn.place.cell) for drawn in pool] == [(t, c) for t in range(4) for c in (0, 1)]
    assert len(painter.calls) == 8
    for drawn in pool:
        assert len(drawn.attempts) == 1
        assert torch.equal(drawn.picture, torch.full((3, 8, 8), drawn.place.target / 10))


def test_below_delta_a_pose_is_drawn_again_and_given_up_after_three():
    pool = {
        (drawn.place.target, drawn.place.cell): drawn for drawn in build(Painter({0: [0.49, 0.1, 0.2], 1: [0.3, 0.5]}))
    }
    assert [attempt.sameness for attempt in pool[0, 0].attempts] == [0.49, 0.1, 0.2]
    assert pool[0, 0].picture is None and pool[0, 0].landmarks is None
    assert [attempt.sameness for attempt in pool[1, 0].attempts] == [0.3, 0.5]
    assert pool[1, 0].picture is not None


def test_poses_come_from_the_cell_they_stand_for_and_are_drawn_anew_each_try():
    pool = build(Painter({target: [0.0] * 60 for target in range(4)}), PoolSettings(tries=30, batch=1))
    for drawn in pool:
        assert {attempt.pose for attempt in drawn.attempts} == set(np.flatnonzero(drawn.place.cell == LABELS))


def test_poses_and_seeds_do_not_depend_on_what_is_drawn_together():
    alone, together = Painter(), Painter()
    build(alone)
    build(together, PoolSettings(batch=5))
    assert [len(call[0]) for call in together.calls] == [5, 3]
    for part in range(3):
        flat = [sum((call[part] for call in painter.calls), []) for painter in (alone, together)]
        assert flat[0] == flat[1]


def test_only_those_that_did_not_pass_are_drawn_again_together():
    painter = Painter({1: [0.0, 0.9, 0.0, 0.9]})
    build(painter, PoolSettings(batch=8))
    assert [call[0] for call in painter.calls] == [[0, 0, 1, 1, 2, 2, 3, 3], [1], [1]]


@pytest.mark.parametrize("wrong", [{"delta": 1.5}, {"tries": 0}, {"batch": 0}, {"poses": 0}])
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        PoolSettings(**wrong)


def test_turning_and_scaling_a_face_changes_its_roll_alone():
    image, points = drawn_row(0, "ann").image, POINTS * 96
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    turned = ((points - 48) @ turn.T * 0.8 + 48).astype(np.float32)
    before, after = (LandmarkPose().estimate(image, p).theta for p in (points, turned))
    assert after[0] - before[0] == pytest.approx(0.3, abs=1e-5)
    assert np.allclose(after[1:], before[1:], atol=1e-5)


def test_a_nose_to_the_side_is_yaw_and_a_wide_mouth_is_expression():
    image, points = drawn_row(0, "ann").image, POINTS * 96
    aside = points + np.array([[0, 0], [0, 0], [0.1 * 19.2, 0], [0, 0], [0, 0]], np.float32)
    assert LandmarkPose().estimate(image, aside).theta[1] == pytest.approx(0.1, abs=1e-3)
    wide = points + np.array([[0, 0], [0, 0], [0, 0], [-1.92, 0], [1.92, 0]], np.float32)
    grown = LandmarkPose().estimate(image, wide).psi[0] - LandmarkPose().estimate(image, points).psi[0]
    assert grown == pytest.approx(0.2, abs=1e-3)


def test_the_mouth_patch_sees_the_mouth_and_not_the_light():
    points = POINTS * 96
    image = torch.full((3, 96, 96), 0.6)
    x, y = (POINTS[3:].mean(0) * 96).astype(int)
    image[:, y + 1 : y + 5, x - 4 : x + 5] = 0.1  # an open mouth below the corners' line
    closed = LandmarkPose().estimate(torch.full((3, 96, 96), 0.6), points).psi[1:25]
    opened = LandmarkPose().estimate(image, points).psi[1:25].reshape(4, 6)
    assert np.abs(closed).max() < 1e-3
    assert opened[2, 2:4].max() < opened[0].min() - 1
    darker = LandmarkPose().estimate(image * 0.5, points).psi[1:25].reshape(4, 6)
    assert np.allclose(opened, darker, atol=0.05)


def test_upright_eyes_are_one_apart_around_the_origin():
    assert np.allclose(upright(POINTS * 200)[:2], [[-0.5, 0], [0.5, 0]], atol=1e-6)
