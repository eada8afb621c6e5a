from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from keepface.degrade.blur import filter2d, gaussian_kernel
from keepface.faces.align import align_ffhq, ffhq_template, similarity, template_face, warp
from keepface.faces.detect import Detector
from keepface.faces.face import Face, largest
from keepface.identity.recogniser import SFace
from keepface.identity.second_judge import SAME_PERSON_BELOW
from keepface.image.files import read_photo
from keepface.metrics.sameness import (
    Measured,
    descriptor_distance,
    identity_similarity,
    landmark_distance,
    landmark_error,
    landmark_square_error,
    same_person,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Seen:
    """A finder that sees, picture by picture, what it was told; nothing in pictures it was not told of."""

    def __init__(self, *pairs: tuple[torch.Tensor, Face]) -> None:
        self.pairs = pairs

    def detect(self, image: torch.Tensor) -> list[Face]:
        return [face for known, face in self.pairs if known is image]


@pytest.fixture(scope="module")
def recogniser() -> SFace:
    return SFace()


def picture(size: int = 128, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(coarse, size=(size, size), mode="bilinear")[0]


def moved(face: Face, x: float, y: float) -> Face:
    left, top, right, bottom = face.box
    return Face((left + x, top + y, right + x, bottom + y), face.points + np.array([x, y]), face.score)


def test_a_picture_is_wholly_like_itself(recogniser: SFace) -> None:
    image = picture()
    seen = Seen((image, template_face(128)))
    measured = identity_similarity(image, image, recogniser, seen)
    assert measured.value == pytest.approx(1, abs=1e-5) and not measured.is_flagged


def test_a_restored_square_without_a_face_is_measured_at_the_true_face_and_flagged(recogniser: SFace) -> None:
    restored, truth = picture(seed=1), picture(seed=2)
    face = moved(template_face(128), 4.0, 3.0)
    blind = identity_similarity(restored, truth, recogniser, Seen((truth, face)))
    seeing = identity_similarity(restored, truth, recogniser, Seen((truth, face), (restored, face)))
    at_template = identity_similarity(restored, truth, recogniser, Seen((truth, face), (restored, template_face(128))))
    assert blind == Measured(seeing.value, True)
    assert seeing.value != at_template.value


def test_no_face_in_either_is_measured_at_the_template_and_flagged(recogniser: SFace) -> None:
    a, b = picture(seed=1), picture(seed=2)
    face = template_face(128)
    seeing = identity_similarity(a, b, recogniser, Seen((a, face), (b, face)))
    assert identity_similarity(a, b, recogniser, Seen()) == Measured(seeing.value, True)


@pytest.mark.parametrize(("size", "expected"), [(512, 5.0), (128, 20.0)])
def test_points_moved_by_three_and_four_pixels_are_five_away_in_a_512_px_square(size: int, expected: float) -> None:
    restored, truth = picture(size), picture(size)
    seen = Seen((restored, moved(template_face(size), 3.0, 4.0)), (truth, template_face(size)))
    measured = landmark_distance(restored, truth, seen)
    assert measured.value == pytest.approx(expected) and not measured.is_flagged


def test_the_landmark_distance_is_the_mean_over_the_points() -> None:
    restored, truth = picture(512), picture(512)
    face = template_face(512)
    points = face.points.copy()
    points[2] += [0.0, 10.0]
    seen = Seen((restored, Face(face.box, points, 1.0)), (truth, face))
    assert landmark_distance(restored, truth, seen).value == pytest.approx(2)


def test_a_picture_without_a_face_does_not_win_the_landmark_distance() -> None:
    restored, truth = picture(512), picture(512)
    seen = Seen((truth, moved(template_face(512), 0.0, 7.0)))
    measured = landmark_distance(restored, truth, seen)
    assert measured.value == pytest.approx(7) and measured.is_flagged


@pytest.mark.parametrize(("size", "expected"), [(512, 12.5), (128, 200.0)])
def test_points_moved_by_three_and_four_pixels_err_by_half_of_twenty_five(size: int, expected: float) -> None:
    restored, truth = picture(size), picture(size)
    seen = Seen((restored, moved(template_face(size), 3.0, 4.0)), (truth, template_face(size)))
    measured = landmark_square_error(restored, truth, seen)
    assert measured.value == pytest.approx(expected) and not measured.is_flagged


def test_one_point_far_off_counts_more_in_squares_than_in_distances() -> None:
    restored, truth, face = picture(512), picture(512), template_face(512)
    points = face.points.copy()
    points[2] += [0.0, 10.0]
    seen = Seen((restored, Face(face.box, points, 1.0)), (truth, face))
    assert landmark_square_error(restored, truth, seen).value == pytest.approx(100 / 10)
    assert landmark_square_error(restored, truth, Seen((restored, face))).is_flagged


class ByColour:
    """Describes a face by the colour of the pixel in the middle of its box."""

    def describe(self, image: torch.Tensor, face: Face) -> torch.Tensor:
        x, y = (int(middle) for middle in face.centre)
        return image[:, y, x]


def plain(*colour: float) -> torch.Tensor:
    return torch.tensor(colour).view(3, 1, 1).expand(3, 64, 64).contiguous()


@pytest.mark.parametrize(("scale", "is_same"), [(0.1, True), (0.119, True), (0.121, False), (0.15, False)])
def test_descriptors_three_and_four_apart_are_five_apart_and_one_person_below_the_limit(
    scale: float, is_same: bool
) -> None:
    restored, truth = plain(0.5 + 3 * scale, 0.5, 0.1), plain(0.5, 0.5 - 4 * scale, 0.1)
    seen = Seen((restored, template_face(64)), (truth, template_face(64)))
    apart = descriptor_distance(restored, truth, ByColour(), seen)
    assert apart.value == pytest.approx(5 * scale, abs=1e-6) and not apart.is_flagged
    assert (5 * scale < SAME_PERSON_BELOW) == is_same
    assert same_person(restored, truth, ByColour(), seen) == Measured(float(is_same), False)


def test_a_restored_square_without_a_face_is_described_at_the_true_face_and_flagged() -> None:
    restored, truth = picture(64, seed=1), picture(64, seed=2)
    face = moved(template_face(64), 5.0, -3.0)
    x, y = (int(middle) for middle in face.centre)
    measured = descriptor_distance(restored, truth, ByColour(), Seen((truth, face)))
    assert measured.value == pytest.approx(float((restored - truth)[:, y, x].norm())) and measured.is_flagged


class Placed(Seen):
    """A finder that sees in each picture the points of the place it is sent to, moved as far as it was told."""

    def __init__(self, truth: torch.Tensor, face: Face, moves: dict[int, tuple[float, float]]) -> None:
        super().__init__((truth, face))
        self.moves = moves

    def look_again(self, image: torch.Tensor, face: Face) -> Face:
        return moved(face, *self.moves[id(image)])


@pytest.mark.parametrize(("size", "expected"), [(512, 5.0), (128, 20.0)])
def test_the_landmark_error_is_told_where_the_truth_has_its_face_though_none_is_found_in_the_other(
    size: int, expected: float
) -> None:
    restored, truth = picture(size, seed=1), picture(size, seed=2)
    seeing = Placed(truth, moved(template_face(size), 9.0, -4.0), {id(restored): (4.0, 2.0), id(truth): (1.0, -2.0)})
    measured = landmark_error(restored, truth, seeing)
    assert measured.value == pytest.approx(expected) and not measured.is_flagged
    assert landmark_error(truth, truth, seeing).value == 0


@pytest.mark.parametrize("size", [128, 256])
def test_a_face_that_is_moved_errs_by_as_much_and_a_damaged_or_missing_one_by_more_than_the_average_face(
    size: int,
) -> None:
    detector = Detector()
    photo = read_photo(EXAMPLES / "clean.jpg").pixels
    points = largest(detector.detect(photo)).points
    truth = align_ffhq(photo, points, size).crop
    flat = torch.full_like(truth, 0.5)  # in which no face is found, so that its landmark distance is the template's
    assert landmark_error(truth, truth, detector).value == 0
    aside = warp(photo, similarity(points, ffhq_template(size)) + [[0, 0, 0.03 * size], [0, 0, -0.01 * size]], size)
    assert landmark_error(aside, truth, detector).value == pytest.approx(512 * np.hypot(0.03, 0.01), abs=2.0)
    errors = [landmark_error(blurred(truth, share * size), truth, detector).value for share in (0.01, 0.03, 0.1)]
    assert 0 < errors[0] < errors[1] < errors[2] and errors[2] > landmark_distance(flat, truth, detector).value
    assert not detector.detect(flat)
    assert landmark_error(flat, truth, detector).value > 2 * landmark_distance(flat, truth, detector).value


def blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    return filter2d(image, gaussian_kernel(2 * round(3 * sigma) + 1, sigma, sigma, 0.0))
