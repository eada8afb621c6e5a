import numpy as np
import pytest

from keepface.errors import WeightsError
from keepface.faces.mtcnn import Cascade, Thresholds, _Network, crops, moved, pyramid, squared, suppress, to_network


def test_the_pyramid_halves_the_area_until_the_window_is_filled() -> None:
    sizes = pyramid((480, 640), 24.0)
    assert sizes[0] == (240, 320)  # a 24 px face fills the 12 px window
    assert all(side % 2 == 0 for size in sizes for side in size)
    assert 12 <= sizes[-1][0] < 12 / 0.709 + 2
    areas = np.prod(np.array(sizes, dtype=float), axis=1)
    np.testing.assert_allclose(areas[1:6] / areas[:5], 0.5, rtol=0.05)


def test_a_picture_smaller_than_a_face_has_no_pyramid() -> None:
    assert pyramid((19, 500), 20.0) == []


def test_a_box_moves_by_shares_of_its_own_sides() -> None:
    boxes, moves = np.array([[10.0, 20.0, 30.0, 60.0]]), np.array([[0.1, -0.1, 0.5, 0.25]])
    np.testing.assert_allclose(moved(boxes, moves), [[12, 16, 40, 70]])


def test_a_box_grows_to_a_square_around_its_middle() -> None:
    np.testing.assert_array_equal(squared(np.array([[10.0, 20.0, 30.0, 60.0]])), [[0, 20, 40, 60]])
    sides = squared(np.random.default_rng(0).uniform(0, 50, (20, 4)))
    np.testing.assert_array_equal(sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1])
    np.testing.assert_array_equal(sides, np.round(sides))


def test_of_two_boxes_that_overlap_the_surer_stays() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [20.0, 20.0, 30.0, 30.0]])
    scores = np.array([0.7, 0.9, 0.8])  # the first two share 80 of 100
    assert suppress(boxes, scores, 0.79).tolist() == [1, 2]
    assert suppress(boxes, scores, 0.81).tolist() == [1, 2, 0]


def test_against_the_smaller_box_a_box_within_a_box_goes() -> None:
    boxes = np.array([[0.0, 0.0, 100.0, 100.0], [40.0, 40.0, 50.0, 50.0]])
    scores = np.array([0.9, 0.8])
    assert suppress(boxes, scores, 0.7).tolist() == [0, 1]
    assert suppress(boxes, scores, 0.7, "smaller").tolist() == [0]


def test_no_box_is_suppressed_to_no_box() -> None:
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_a_crop_has_x_before_y_and_zeros_beyond_the_picture() -> None:
    picture = np.zeros((30, 40, 3), dtype=np.float32)
    picture[:, :, 0] = np.arange(40)
    crop = crops(picture, np.array([[28.0, 18.0, 52.0, 42.0]]), 24)[0]
    np.testing.assert_array_equal(crop[:12, 0, 0], np.arange(28, 40))
    assert np.abs(crop[12:]).max() == 0 and np.abs(crop[:, 12:]).max() == 0


def test_grey_is_nought_to_the_networks() -> None:
    values = to_network(np.array([[[0.0, 0.5, 1.0]]], dtype=np.float32))
    np.testing.assert_allclose(values, [[[-127.5 / 128, 0, 127.5 / 128]]], atol=1e-6)


def test_a_plain_picture_has_no_face_and_is_no_error() -> None:
    cascade = Cascade()
    for side in (5, 12, 90):
        assert len(cascade.find(np.zeros((side, side, 3), dtype=np.float32), 20.0, Thresholds()).scores) == 0


def test_the_points_of_a_picture_of_thrice_the_size_are_the_same_points() -> None:
    cascade = Cascade()
    picture = np.random.default_rng(0).uniform(-1, 1, (60, 60, 3)).astype(np.float32)
    box = np.array([[5.0, 5.0, 53.0, 53.0]])
    small, large = cascade.look(picture, box), cascade.look(picture.repeat(3, 0).repeat(3, 1), box * 3)
    np.testing.assert_allclose(large.boxes, small.boxes * 3, atol=1e-3)
    np.testing.assert_allclose(large.points, (small.points + 0.5) * 3 - 0.5, atol=1e-3)


def test_a_file_that_is_no_network_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    broken = tmp_path / "pnet.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="pnet.onnx"):
        _Network(broken, ("softmax",))
