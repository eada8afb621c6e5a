"""The perceptual distance: closed forms of its terms, and what a judge of restorations must not get wrong."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from keepface.degrade.blur import filter2d, gaussian_kernel
from keepface.degrade.jpeg import jpeg
from keepface.faces.align import align_ffhq
from keepface.faces.detect import Detector
from keepface.faces.face import largest
from keepface.identity.facenet_layers import FaceNetLayers
from keepface.image.files import read_photo
from keepface.image.size import resize
from keepface.metrics.fidelity import psnr
from keepface.metrics.texture import TextureDistance, likeness

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=rng(seed))


@pytest.fixture(scope="module")
def distance() -> TextureDistance:
    return TextureDistance(FaceNetLayers())


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    photo = read_photo(EXAMPLES / "clean.jpg").pixels
    return align_ffhq(photo, largest(Detector().detect(photo)).points, 256).crop


@pytest.mark.parametrize("gain", [0.25, 0.5, 1.0, 3.0])
def test_maps_that_differ_by_a_factor_are_alike_as_that_factor_and_its_inverse(gain: float) -> None:
    x = maps(4, 9, 9) + 1
    assert float(likeness(x, gain * x)) == pytest.approx(2 * gain / (1 + gain**2), abs=1e-4)


def test_a_map_turned_over_about_its_mean_has_the_same_texture_and_the_opposite_structure() -> None:
    x = maps(4, 9, 9)
    over = 2 * x.mean((1, 2), keepdim=True) - x
    assert float(likeness(x, over)) == pytest.approx((1 - 1) / 2, abs=1e-3)


def test_the_same_values_in_other_places_keep_the_texture_alone() -> None:
    x = maps(64, 40, 40)
    order = torch.randperm(1600, generator=rng(1))
    assert float(likeness(x, x.flatten(1)[:, order].view(64, 40, 40))) == pytest.approx(1 / 2, abs=0.01)


def test_empty_maps_are_alike() -> None:
    assert float(likeness(torch.zeros(3, 5, 5), torch.zeros(3, 5, 5))) == pytest.approx(1)


def test_the_layers_are_those_of_the_published_network() -> None:
    stages = FaceNetLayers().stages(maps(3, 64, 64))
    shapes = [(32, 127, 127), (64, 125, 125), (192, 60, 60), (256, 29, 29), (256, 29, 29)]  # of 256 px, unpadded
    assert [tuple(stage.shape) for stage in stages] == shapes
    assert all(float(stage.min()) >= 0 for stage in stages)


def test_a_picture_is_at_no_distance_from_itself_and_any_two_are_as_far_both_ways(distance: TextureDistance) -> None:
    a, b = maps(3, 64, 64), torch.zeros(3, 64, 64)
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-9)
    assert 0 < distance(a, b) <= 1.5


def test_the_size_of_the_squares_hardly_counts(distance: TextureDistance, face: torch.Tensor) -> None:
    blurred = filter2d(face, gaussian_kernel(41, 5.0, 5.0, 0.0))
    large = [resize(item, (384, 384), "bicubic") for item in (face, blurred)]
    assert distance(*large) == pytest.approx(distance(face, blurred), rel=0.05)


def test_every_kind_of_damage_takes_a_face_further_away_the_more_there_is_of_it(
    distance: TextureDistance, face: torch.Tensor
) -> None:
    noise = torch.randn(face.shape, generator=rng(2))
    damaged = {
        "blur": [filter2d(face, gaussian_kernel(61, sigma, sigma, 0.0)) for sigma in (1.0, 3.0, 7.0)],
        "noise": [(face + sigma / 255 * noise).clamp(0, 1) for sigma in (4, 12, 36)],
        "JPEG": [jpeg(face, quality) for quality in (80, 40, 15)],
        "shrink": [resize(resize(face, (side, side), "bicubic"), (256, 256), "bicubic") for side in (128, 64, 24)],
        "warp": [warped(face, px) for px in (1.0, 3.0, 7.0)],
    }
    for kind, pictures in damaged.items():
        values = [distance(picture, face) for picture in pictures]
        assert 0 < values[0] < values[1] < values[2], kind


@pytest.mark.parametrize("decibel", [24.0, 28.0, 32.0])
def test_of_equal_psnr_what_is_blurred_is_further_away_than_what_is_noisy_or_bent_but_sharp(
    distance: TextureDistance, face: torch.Tensor, decibel: float
) -> None:
    noise = torch.randn(face.shape, generator=rng(3))
    blurred = at(decibel, face, lambda grade: filter2d(face, gaussian_kernel(121, grade, grade, 0.0)))
    noisy = at(decibel, face, lambda grade: (face + grade / 255 * noise).clamp(0, 1))
    bent = at(decibel, face, lambda grade: warped(face, grade))
    assert distance(noisy, face) < distance(blurred, face)
    assert distance(bent, face) < distance(blurred, face)


def warped(face: torch.Tensor, px: float) -> torch.Tensor:
    """Shift places by `px` on the average, along a field that changes slowly."""
    field = functional.interpolate(torch.randn(1, 2, 5, 5, generator=rng(4)), size=face.shape[1:], mode="bicubic")
    field = field * 2 * px / face.shape[-1] / field.square().sum(1).mean().sqrt()
    grid = functional.affine_grid(torch.eye(2, 3)[None], [1, *face.shape], align_corners=False)
    moved = grid + field.permute(0, 2, 3, 1)
    return functional.grid_sample(face[None], moved, padding_mode="reflection", align_corners=False)[0].clamp(0, 1)


def at(decibel: float, face: torch.Tensor, make) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """Find the picture of that PSNR by halving."""
    low, high = 0.02, 60.0
    for _ in range(18):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float(psnr(make(middle), face)) > decibel else (low, middle)
    assert float(psnr(make(low), face)) == pytest.approx(decibel, abs=0.1)
    return make(low)
