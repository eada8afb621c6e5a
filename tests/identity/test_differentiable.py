import numpy as np
import pytest
import torch

from keepface.faces.align import align_arcface, template_face
from keepface.identity.differentiable import DifferentiableSFace
from keepface.identity.recogniser import SFace

pytest.importorskip("onnx", reason="onnx is not installed; pip install 'keepface[train]'")


@pytest.fixture(scope="module")
def squares() -> torch.Tensor:
    """Smooth coloured noise: the recogniser's answer to it is as exact as to a face."""
    noise = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(noise, size=128, mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def recogniser() -> DifferentiableSFace:
    return DifferentiableSFace()


def test_it_agrees_with_the_same_network_run_by_opencv(recogniser: DifferentiableSFace, squares: torch.Tensor) -> None:
    face = template_face(128)
    crops = torch.stack([align_arcface(square, face.points) for square in squares])
    by_opencv = torch.stack([SFace().embed(square, face) for square in squares])
    ours = recogniser.embed_crops((crops * 255).round() / 255)
    assert torch.allclose(ours, by_opencv, atol=1e-4)


def test_its_own_alignment_is_that_of_the_template(recogniser: DifferentiableSFace, squares: torch.Tensor) -> None:
    by_opencv = torch.stack([SFace().embed(square, template_face(128)) for square in squares])
    assert (recogniser(squares) * by_opencv).sum(1).min() > 0.98  # OpenCV interpolates to 1/32 px and rounds to bytes
    assert torch.allclose(recogniser(squares).norm(dim=1), torch.ones(3), atol=1e-5)


def test_its_gradient_points_where_the_embedding_grows_more_alike(
    recogniser: DifferentiableSFace, squares: torch.Tensor
) -> None:
    wanted = recogniser(squares[:1]).detach()
    picture = squares[1:2].clone().requires_grad_()
    cosine = (recogniser(picture) * wanted).sum()
    (gradient,) = torch.autograd.grad(cosine, picture)
    step = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        change = float((recogniser(picture + step) * wanted).sum() - (recogniser(picture - step) * wanted).sum())
    assert change == pytest.approx(2e-2 * float(gradient.norm()), rel=0.1)
    assert np.isfinite(change) and change > 0
