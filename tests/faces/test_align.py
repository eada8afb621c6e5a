import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from keepface.errors import FaceError
from keepface.faces.align import (
    ARCFACE_TEMPLATE,
    FFHQ_TEMPLATE,
    align_arcface,
    align_ffhq,
    ffhq_template,
    invert,
    resized,
    scale_of,
    similarity,
    template_face,
    transform,
    warp,
)


def turned(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    a = scale * np.exp(1j * np.radians(degrees))
    return np.array([[a.real, -a.imag, shift[0]], [a.imag, a.real, shift[1]]])


def around(photo_xy: tuple[float, float], scale: float, degrees: float, size: int) -> np.ndarray:
    """A matrix that leads the photo's point to the middle of a square."""
    matrix = turned(scale, degrees, (0, 0))
    matrix[:, 2] = (size - 1) / 2 - matrix[:, :2] @ photo_xy
    return matrix


def ramp(height: int, width: int) -> Tensor:
    """x in the first channel, y in the second, shares of 1000 px."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)]).float() / 1000


@pytest.mark.parametrize(("scale", "degrees"), [(0.13, 12.0), (1.0, 180.0), (3.0, -75.0)])
def test_a_known_similarity_is_found_again(scale: float, degrees: float) -> None:
    matrix = turned(scale, degrees, (31.0, -7.5))
    found = similarity(FFHQ_TEMPLATE, transform(FFHQ_TEMPLATE, matrix))
    np.testing.assert_allclose(found, matrix, atol=1e-9)
    assert scale_of(found) == pytest.approx(scale)


def test_noisy_points_are_fitted_in_least_squares() -> None:
    rng = np.random.default_rng(0)
    points = FFHQ_TEMPLATE + rng.normal(0, 9, (5, 2))
    rows, wanted = [], []
    for (x, y), (u, v) in zip(points, ARCFACE_TEMPLATE, strict=True):  # u = a x - b y + c, v = b x + a y + d
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        wanted += [u, v]
    a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    np.testing.assert_allclose(similarity(points, ARCFACE_TEMPLATE), [[a, -b, c], [b, a, d]], atol=1e-8)


def test_a_mirrored_face_is_never_mirrored_back() -> None:
    mirrored = FFHQ_TEMPLATE * [-1, 1]
    assert np.linalg.det(similarity(mirrored, FFHQ_TEMPLATE)[:, :2]) > 0


def test_points_in_one_place_are_an_error() -> None:
    with pytest.raises(FaceError, match="lie in one place"):
        similarity(np.full((5, 2), 3.0), FFHQ_TEMPLATE)


def test_the_inverse_matrix_leads_back() -> None:
    matrix = turned(0.4, 33, (5, 6))
    np.testing.assert_allclose(transform(transform(FFHQ_TEMPLATE, matrix), invert(matrix)), FFHQ_TEMPLATE, atol=1e-9)


def test_the_matrix_that_changes_nothing_gives_the_photo_itself() -> None:
    photo = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(photo, turned(1, 0, (0, 0)), 40), photo, atol=1e-6)


@pytest.mark.parametrize("scale", [0.19, 0.5, 0.8, 2.7])
def test_a_ramp_stays_a_ramp_at_every_scale(scale: float) -> None:
    size = 40
    matrix = around((400, 300), scale, 25, size)
    square = warp(ramp(600, 800), matrix, size)
    y, x = np.mgrid[:size, :size]
    truth = transform(np.stack([x.ravel(), y.ravel()], axis=1).astype(float), invert(matrix)).reshape(size, size, 2)
    # cv2 places samples on 1/32 pixel; its grid is that of the (shrunken) photo.
    error = np.abs(square[:2].permute(1, 2, 0).numpy() * 1000 - truth).max()
    assert error < 0.05 * max(1, 1 / scale)


def test_strong_reduction_does_not_alias() -> None:
    y, x = torch.meshgrid(torch.arange(400), torch.arange(400), indexing="ij")
    board = ((x + y) % 2).float().expand(3, 400, 400)
    square = warp(board, around((199.5, 199.5), 0.16, 0, 32), 32)
    assert (square - 0.5).abs().max() < 0.05


def test_beyond_the_photo_is_black_or_its_mirror_image() -> None:
    photo = torch.full((3, 30, 30), 0.7)
    shifted = turned(1, 0, (20.0, 0.0))
    assert warp(photo, shifted, 30)[:, :, :15].abs().max() == 0
    assert torch.allclose(warp(photo, shifted, 30, "reflect"), torch.full((3, 30, 30), 0.7), atol=1e-5)
    mirrored = warp(ramp(30, 30), shifted, 30, "reflect")[0, 0] * 1000
    assert mirrored[10] == pytest.approx(10, abs=0.1) and mirrored[0] == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("shift", [(-500.0, 0.0), (500.0, 500.0), (0.0, -90.0)])
def test_a_square_outside_the_photo_is_black_and_no_error(shift: tuple[float, float]) -> None:
    assert warp(torch.ones(3, 20, 30), turned(1, 0, shift), 16).abs().max() == 0
    assert warp(torch.ones(3, 20, 30), turned(1, 0, shift), 16, "reflect").min() > 0.99


def test_the_points_of_a_face_land_on_the_template() -> None:
    photo = torch.zeros(3, 300, 300)
    points = transform(ffhq_template(128), turned(1, 30, (150, 90)))
    for x, y in points.round().astype(int):
        photo[:, y - 3 : y + 4, x - 3 : x + 4] = 1
    aligned = align_ffhq(photo, points, 128)
    np.testing.assert_allclose(transform(points, aligned.matrix), ffhq_template(128), atol=1e-9)
    arcface = align_arcface(photo, points)
    assert arcface.shape == (3, 112, 112)
    for crop, template in ((aligned.crop, ffhq_template(128)), (arcface, ARCFACE_TEMPLATE)):
        for x, y in template.round().astype(int)[[0, 1]]:
            assert crop[0, y, x] > 0.9


def test_the_template_face_needs_no_moving() -> None:
    face = template_face(256)
    np.testing.assert_allclose(similarity(face.points, ffhq_template(256)), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    left, top, right, bottom = face.box
    assert (face.points > [left, top]).all() and (face.points < [right, bottom]).all()


@pytest.mark.parametrize("scale", [0.6, 1.0, 3.4])  # a face so much larger than the crop
@pytest.mark.parametrize("shift", [(60.0, 80.0), (-25.0, -10.0), (300.0, 200.0)])
def test_a_bilinear_crop_is_the_one_that_insightface_warps(scale: float, shift: tuple[float, float]) -> None:
    """Its norm_crop is one cv2.warpAffine of the photo's bytes, black outside."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (420, 480, 3), dtype=np.uint8)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    points = (scale * ARCFACE_TEMPLATE @ turn.T + np.array(shift)).astype(np.float32)
    inverse = np.hstack([scale * turn, np.array(shift)[:, None]])  # from the crop to the photo, by hand
    wanted = cv2.warpAffine(photo, inverse, (112, 112), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0)
    image = torch.from_numpy(photo).permute(2, 0, 1) / 255
    found = align_arcface(image, points, sampling="bilinear").permute(1, 2, 0) * 255
    difference = np.abs(found.numpy() - wanted)
    assert difference.mean() < 0.6 and np.quantile(difference, 0.999) < 9  # a 32nd of a pixel in noise of full range
    smooth = align_arcface(image, points).permute(1, 2, 0) * 255  # another one
    assert float((smooth - found).abs().mean()) > 10 * difference.mean()


def test_a_square_of_another_side_shows_the_same_part_of_the_photo() -> None:
    matrix = similarity(ffhq_template(100) + [20.0, -3.0], ffhq_template(64))
    twice = resized(matrix, 2.0)
    left_top, right_bottom = np.array([[-0.5, -0.5]]), np.array([[63.5, 63.5]])
    assert np.allclose(transform(transform(left_top, invert(matrix)), twice), [[-0.5, -0.5]])
    assert np.allclose(transform(transform(right_bottom, invert(matrix)), twice), [[127.5, 127.5]])
    assert scale_of(twice) == pytest.approx(2 * scale_of(matrix))
