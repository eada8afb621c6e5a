import cv2
import numpy as np
import pytest
import torch

from keepface.faces.align import ffhq_template
from keepface.faces.face import Face
from keepface.faces.judge import blur_effect, judge, pose


def noise_face(square_px: int) -> tuple[torch.Tensor, Face]:
    """A sharp texture with the points of a frontal face whose FFHQ square has the given side."""
    fine = torch.rand(3, square_px, square_px, generator=torch.Generator().manual_seed(0))
    return fine, Face((0.0, 0.0, float(square_px), float(square_px)), ffhq_template(square_px), 1.0)


def test_a_sharp_frontal_face_of_good_size_is_fit() -> None:
    photo, face = noise_face(128)
    fitness = judge(photo, face)
    assert fitness.problems == ()
    assert fitness.size_px == pytest.approx(128) and abs(fitness.yaw_deg) < 2 and abs(fitness.roll_deg) < 1


def test_what_is_wrong_is_said_with_what_is_needed() -> None:
    photo, face = noise_face(40)
    assert "too small" in judge(photo, face).problems[0] and "80 px" in judge(photo, face).problems[0]
    photo, face = noise_face(200)
    blurred = cv2.GaussianBlur(photo.permute(1, 2, 0).numpy(), (0, 0), 16)
    assert "blurred" in judge(torch.from_numpy(blurred).permute(2, 0, 1), face).problems[0]
    away = face.points.copy()
    away[2, 0] += 0.75 * (away[1, 0] - away[0, 0])
    assert "turned away" in judge(photo, Face(face.box, away, 1.0)).problems[0]


def test_roll_is_the_angle_of_the_eyes_and_does_not_change_yaw() -> None:
    level = ffhq_template(512)
    turn = np.radians(25)
    leaning = level @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    (yaw, roll), (yaw_0, roll_0) = pose(leaning), pose(level)
    assert roll - roll_0 == pytest.approx(25) and yaw == pytest.approx(yaw_0)


def test_yaw_changes_sign_with_the_mirror() -> None:
    points = ffhq_template(512)
    points[2, 0] += 40
    mirrored = points[[1, 0, 2, 4, 3]] * [-1, 1]
    assert pose(points)[0] > 5 and pose(mirrored)[0] == pytest.approx(-pose(points)[0])


def test_blur_grows_with_every_blur_and_stays_within_nought_and_one() -> None:
    picture = np.random.default_rng(0).random((96, 96)).astype(np.float32)
    values = [blur_effect(picture)]
    for sigma in (1, 2, 4):
        values.append(blur_effect(cv2.GaussianBlur(picture, (0, 0), sigma)))
    assert values == sorted(values) and 0 <= values[0] < 0.3 and 0.7 < values[-1] <= 1


def test_blur_along_one_direction_alone_counts() -> None:
    picture = np.random.default_rng(0).random((96, 96)).astype(np.float32)
    assert blur_effect(cv2.GaussianBlur(picture, (0, 0), 3, sigmaY=1e-3)) > 0.5
    assert blur_effect(cv2.GaussianBlur(picture, (0, 0), 1e-3, sigmaY=3)) > 0.5
