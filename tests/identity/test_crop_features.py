import numpy as np
import pytest
import torch

from keepface.faces.align import align_arcface, template_face
from keepface.identity.crop_features import CropFeatures, face_of
from keepface.identity.image_encoder import ImageEncoder, crop_box
from keepface.identity.recogniser import SFace

POINTS = [template_face(side).points.astype(np.float32) for side in (96, 130)]


@pytest.fixture(scope="module")
def maker() -> CropFeatures:
    return CropFeatures.load()


def squares() -> list[torch.Tensor]:
    return [torch.rand(3, side, side, generator=torch.Generator().manual_seed(side)) for side in (96, 130)]


def test_template_points_get_the_template_box() -> None:
    template = template_face(200)
    assert face_of(template.points).box == pytest.approx(template.box)


def test_a_face_moved_and_enlarged_takes_its_box_along() -> None:
    template = template_face(200)
    moved = face_of(template.points * 1.5 + np.array([10.0, -4.0]))
    left, top, right, bottom = (edge * 1.5 for edge in template.box)
    assert moved.box == pytest.approx((left + 10, top - 4, right + 10, bottom - 4))


def test_crops_of_different_sides_together_get_what_the_networks_say_of_each_alone(maker: CropFeatures) -> None:
    found = maker.features(squares(), POINTS)
    assert {name: tuple(values.shape) for name, values in found.items()} == {
        name: (2, dim) for name, dim in maker.names().items()
    }
    encoder, recogniser = ImageEncoder.load(), SFace()
    for index, (square, points) in enumerate(zip(squares(), POINTS, strict=True)):
        face = face_of(points)
        with torch.no_grad():
            pooled = encoder.pooled(crop_box(square, face.box)[None])[0]
        assert torch.allclose(found["image"][index], pooled, atol=1e-4)
        assert torch.equal(found["recogniser"][index], recogniser.embed(square, face))


def test_tokens_are_those_of_the_upright_face_wherever_the_face_is(maker: CropFeatures) -> None:
    found = maker.tokens(squares(), POINTS)
    assert found["tokens"].shape == (2, 49, 1280)
    assert torch.equal(found["recogniser"], maker.features(squares(), POINTS)["recogniser"])
    encoder = ImageEncoder.load()
    for index, (square, points) in enumerate(zip(squares(), POINTS, strict=True)):
        with torch.no_grad():
            alone = encoder.tokens(align_arcface(square, points, 224)[None])[0]
        assert torch.allclose(found["tokens"][index], alone, atol=1e-3)
