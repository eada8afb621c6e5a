import pytest
import torch

from keepface.diffusion.family import Family
from keepface.diffusion.objective import denoising_loss, noised, predicted_clean
from keepface.train.fresh import fresh_family

from ..toy import FAMILY, low_squares


@pytest.fixture
def family() -> Family:
    return fresh_family(FAMILY, seed=0)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_noising_and_predicting_the_clean_latent_are_each_others_inverse(family: Family, kind: str) -> None:
    family.scheduler.register_to_config(prediction_type=kind)
    eps, t = torch.randn(4, *family.latent_shape), torch.tensor([0, 10, 500, 900])
    with torch.no_grad():
        x_t, target = noised(family, low_squares(4), eps, t)
        assert torch.allclose(predicted_clean(family, x_t, target, t), family.encode(low_squares(4)), atol=1e-3)


def test_the_target_is_the_noise_or_the_velocity(family: Family) -> None:
    eps, t = torch.randn(2, *family.latent_shape), torch.tensor([30, 700])
    alpha_bar = family.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    with torch.no_grad():
        x_0 = family.encode(low_squares(2))
        x_t, velocity = noised(family, low_squares(2), eps, t)
        assert torch.allclose(velocity, alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0, atol=1e-5)
        assert torch.allclose(x_t, alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps, atol=1e-5)
        family.scheduler.register_to_config(prediction_type="epsilon")
        assert torch.equal(noised(family, low_squares(2), eps, t)[1], eps)


def test_the_loss_is_the_mean_square() -> None:
    assert float(denoising_loss(torch.full((1, 1, 2, 2), 3.0), torch.ones(1, 1, 2, 2))) == 4.0
