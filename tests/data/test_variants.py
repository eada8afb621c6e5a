import numpy as np
import torch

from keepface.data.variants import change, flip_points

from .drawn_faces import POINTS, drawn_row


def test_mirroring_twice_is_nothing_and_keeps_the_left_eye_left():
    points = POINTS * 64 + np.array([3, 0], np.float32)
    mirrored = flip_points(points, 64)
    assert mirrored[0, 0] < mirrored[1, 0]
    assert mirrored[3, 0] < mirrored[4, 0]
    assert np.allclose(flip_points(mirrored, 64), points, atol=1e-5)


def test_mirrored_points_mark_the_same_pixels_of_the_mirrored_picture():
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    points = np.array([[4, 5], [14, 6], [9, 10], [6, 15], [12, 14]], np.float32)
    mirrored = flip_points(points, 20).astype(int)
    values = [image.flip(2)[:, y, x] for x, y in mirrored[[1, 0, 2, 4, 3]]]
    assert all(torch.equal(value, image[:, int(y), int(x)]) for value, (x, y) in zip(values, points, strict=True))


def test_points_move_with_the_picture():
    image = torch.zeros(3, 96, 96)
    x, y = 58, 40  # of the nose: a bright spot
    image[:, y - 3 : y + 4, x - 3 : x + 4] = 1
    points = POINTS * 96
    points[2] = (x, y)
    for seed in range(12):
        changed = change(image, points, np.random.default_rng(seed))
        weight = changed.image.mean(0) - changed.image.mean(0).median() - 0.3
        rows, columns = torch.nonzero(weight > 0, as_tuple=True)
        spot = np.array([columns.float().mean(), rows.float().mean()])
        assert np.abs(spot - changed.landmarks[2]).max() < 1.5


def test_a_change_is_another_picture_in_range_and_the_same_seed_the_same_change():
    row = drawn_row(0, "ann")
    for seed in range(8):
        changed = change(row.image, row.landmarks, np.random.default_rng(seed))
        again = change(row.image, row.landmarks, np.random.default_rng(seed))
        assert torch.equal(changed.image, again.image)
        assert changed.image.shape == row.image.shape
        assert torch.equal(changed.image, changed.image.clamp(0, 1))
        assert (changed.image - row.image).abs().mean() > 0.01
