import pytest
import torch

from keepface.image.gaussian import fit_gaussian, gaussian
from keepface.methods.guided.agree import agree

from .drawn import faces_of


def test_a_result_that_is_the_photo_when_blurred_stays_as_it_is() -> None:
    truth = faces_of(1, 128)
    photo = gaussian(truth, 4.0)
    assert torch.allclose(agree(truth[0], photo[0], 1.0), truth[0], atol=2e-3)


def test_what_the_photo_shows_and_the_result_does_not_is_put_back() -> None:
    truth = faces_of(1, 128)
    photo, wrong = gaussian(truth, 4.0), truth.clone()
    wrong[..., 40:70, 40:70] += 0.1
    before = float((gaussian(wrong, 4.0) - photo).square().mean())
    half, whole = (agree(wrong[0], photo[0], share)[None] for share in (0.5, 1.0))
    errors = [float((gaussian(item, 4.0) - photo).square().mean()) for item in (half, whole)]
    assert errors[1] < errors[0] < before
    assert torch.allclose((half + half - wrong), whole, atol=1e-5)


def test_a_sharp_photo_changes_nothing() -> None:
    photo = faces_of(1, 128)[0]
    assert torch.equal(agree(photo + 0.01, photo, 1.0), photo + 0.01)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_the_blur_is_found(sigma: float) -> None:
    sharp = torch.rand(2, 3, 64, 64)
    for item in sharp:
        assert fit_gaussian(gaussian(item[None], sigma)[0], item[None], (0.5, 1.0, 2.0, 4.0, 8.0), 8) == sigma
