import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from keepface.faces.align import similarity, transform
from keepface.faces.detect import Detector, DetectSettings, unturned, upright
from keepface.faces.face import Face
from keepface.faces.mtcnn import Found

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def crops() -> list[tuple[np.ndarray, np.ndarray]]:
    """Frontal crops 154 px wide (RGB 0..255) with their five points; a face's box is about 70 px wide."""
    shard = SHARED / "faces" / "val-london-00.parquet"
    if not shard.is_file():
        pytest.skip(f"needs {shard}")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(shard).slice(0, 12).to_pylist()[::2]
    result = []
    for row in rows:
        picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
        points = (np.array(row["landmarks"]).reshape(5, 2) + 0.5) * 154 / picture.width - 0.5
        result.append((np.array(picture.resize((154, 154), Image.Resampling.LANCZOS)), points))
    return result


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255


def error(found: Face, points: np.ndarray) -> float:
    """Mean distance of the five points, in distances between the eyes."""
    return float(np.linalg.norm(found.points - points, axis=1).mean() / np.linalg.norm(points[0] - points[1]))


def test_the_quarter_turns_are_undone() -> None:
    """A box and a point keep what they cover when the picture is turned and they are led back."""
    picture = np.zeros((30, 50))
    picture[4:10, 20:33] = 1
    picture[7, 41] = 2
    for turn in range(4):
        turned = np.rot90(picture, turn)
        y, x = np.nonzero(turned == 1)
        box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], dtype=float)
        point = np.argwhere(turned == 2)[0][::-1].astype(float)
        back = unturned(Found(box, np.ones(1), np.tile(point, (1, 5, 1))), turn, (turned.shape[0], turned.shape[1]))
        np.testing.assert_array_equal(back.boxes, [[20, 4, 33, 10]])
        np.testing.assert_array_equal(back.points[0, 0], [41, 7])


def test_a_tilted_face_is_turned_upright_around_its_box() -> None:
    level = np.array([[-10.0, -8.0], [10.0, -8.0], [0.0, 2.0], [-8.0, 12.0], [8.0, 12.0]])
    tilt = similarity(level, level @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * 2)
    points = transform(level, tilt) + [200, 90]
    matrix = upright(np.array([160.5, 50.5, 240.5, 130.5]), points)
    seen = transform(points, matrix)
    assert seen[0, 1] == pytest.approx(seen[1, 1]) and seen[0, 0] < seen[1, 0] and seen[3, 1] > seen[0, 1]
    np.testing.assert_allclose(transform(np.array([[200.0, 90.0]]), matrix), [[23.5, 23.5]], atol=1e-9)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 11, 300), (3, 64, 48)])
def test_a_picture_without_a_face_has_none(detector: Detector, shape: tuple[int, int, int]) -> None:
    assert detector.detect(torch.full(shape, 0.4)) == []


@pytest.mark.shared
def test_points_are_found_within_a_tenth_of_the_eyes_distance(detector: Detector, crops: list) -> None:
    errors = [error(detector.detect(tensor(pixels))[0], points) for pixels, points in crops]
    assert max(errors) < 0.1 and np.mean(errors) < 0.06


@pytest.mark.shared
def test_a_mirrored_photo_has_the_mirrored_points(detector: Detector, crops: list) -> None:
    """A network that pads on the wrong side moves both by 6 % of the eyes' distance, so they differ by 12 %."""
    for pixels, points in crops[:3]:
        plain, mirrored = detector.detect(tensor(pixels))[0], detector.detect(tensor(pixels[:, ::-1]))[0]
        back = mirrored.points[[1, 0, 2, 4, 3]] * [-1, 1] + [153, 0]
        drift = (plain.points - back).mean(axis=0)[0] / np.linalg.norm(points[0] - points[1])
        assert abs(drift) < 0.03


@pytest.mark.shared
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_photo_on_its_side_gives_the_points_of_the_upright_face(detector: Detector, crops: list, turn: int) -> None:
    for pixels, points in crops[:3]:
        turned = np.rot90(pixels, turn)
        back = unturned(Found(np.zeros((1, 4)), np.ones(1), points[None]), 4 - turn, (154, 154))
        assert error(detector.detect(tensor(turned))[0], back.points[0]) < 0.15


@pytest.mark.shared
def test_small_blurred_and_grey_faces_are_found(detector: Detector, crops: list) -> None:
    for pixels, points in crops[:3]:
        wall = np.full((480, 640, 3), 120, dtype=np.uint8)
        wall[100:153, 300:353] = cv2.resize(pixels, (53, 53), interpolation=cv2.INTER_AREA)  # a face 24 px wide
        assert error(detector.detect(tensor(wall))[0], (points + 0.5) * 53 / 154 - 0.5 + [300, 100]) < 0.15
        assert error(detector.detect(tensor(cv2.GaussianBlur(pixels, (0, 0), 4)))[0], points) < 0.25
        grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
        assert error(detector.detect(tensor(grey))[0], points) < 0.1


@pytest.mark.shared
def test_several_faces_come_largest_first_and_in_pixels_of_the_photo(detector: Detector, crops: list) -> None:
    wall = np.full((900, 1500, 3), 120, dtype=np.uint8)
    wall[600:754, 100:254] = crops[0][0]
    wall[100:562, 900:1362] = cv2.resize(crops[1][0], (462, 462), interpolation=cv2.INTER_CUBIC)
    for settings in (DetectSettings(), DetectSettings(max_side=750)):
        first, second = detector.detect(tensor(wall), settings)
        assert error(first, (crops[1][1] + 0.5) * 3 - 0.5 + [900, 100]) < 0.1
        assert error(second, crops[0][1] + [100, 600]) < 0.1


@pytest.mark.shared
def test_threads_that_share_a_detector_find_what_one_finds(detector: Detector, crops: list) -> None:
    photos = [tensor(pixels) for pixels, _ in crops[:4]]
    alone = [detector.detect(photo)[0] for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = [faces[0] for faces in pool.map(detector.detect, photos)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        assert one.box == other.box
