import pytest
import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderTiny
from torch import nn

from keepface.diffusion.latents import LatentScale, decode, encode, measure_scale
from keepface.errors import WeightsError
from keepface.seeds import generator

from ..toy import FAMILY, low_squares

SCALE = LatentScale((0.5, -1.0, 0.0, 2.0), (2.0, 0.5, 1.0, 4.0))
PLAIN = LatentScale((0.0,) * 4, (1.0,) * 4)


@pytest.fixture(scope="module", params=["AutoencoderKL", "AutoencoderTiny", "AutoencoderDC"])
def vae(request: pytest.FixtureRequest) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if request.param == "AutoencoderKL":
            blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
            made: nn.Module = AutoencoderKL(block_out_channels=(8, 16), norm_num_groups=4, **blocks)
        elif request.param == "AutoencoderTiny":
            channels = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
            made = AutoencoderTiny(num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), **channels)
        else:
            made = AutoencoderDC(**FAMILY["vae"])
    return made.eval().requires_grad_(False)


def test_pictures_become_four_channels_and_pictures_again(vae: nn.Module) -> None:
    squares = low_squares(2)
    latent = encode(vae, PLAIN, squares)
    assert latent.shape[:2] == (2, 4) and latent.shape[2] == latent.shape[3] < 32
    picture = decode(vae, PLAIN, latent)
    assert picture.shape == squares.shape and 0 <= float(picture.min()) <= float(picture.max()) <= 1


def test_the_scale_is_taken_off_and_put_back_channel_by_channel(vae: nn.Module) -> None:
    squares = low_squares(2)
    raw = encode(vae, PLAIN, squares)
    scaled = encode(vae, SCALE, squares)
    for channel in range(4):
        expected = (raw[:, channel] - SCALE.mean[channel]) / SCALE.std[channel]
        torch.testing.assert_close(scaled[:, channel], expected)
    torch.testing.assert_close(decode(vae, SCALE, scaled), decode(vae, PLAIN, raw), atol=1e-5, rtol=0)


def test_only_a_variational_autoencoder_uses_noise_and_scales_it_by_its_deviation(vae: nn.Module) -> None:
    squares = low_squares(1)
    mean = encode(vae, PLAIN, squares)
    eps = torch.randn(mean.shape, generator=generator(0))
    once, twice = encode(vae, PLAIN, squares, eps), encode(vae, PLAIN, squares, 2 * eps)
    if isinstance(vae, AutoencoderKL):
        assert (once != mean).all()
        torch.testing.assert_close(twice - mean, 2 * (once - mean), atol=1e-5, rtol=1e-4)
    else:
        assert torch.equal(once, mean)


def test_a_measured_scale_centres_each_channel_and_gives_the_whole_unit_power() -> None:
    latent = 3 * torch.randn(64, 4, 6, 6, generator=generator(0)) + torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    found = measure_scale(latent, SCALE)
    mean, std = SCALE.tensors(latent)
    raw = latent * std + mean
    again = (raw - torch.tensor(found.mean).view(1, 4, 1, 1)) / torch.tensor(found.std).view(1, 4, 1, 1)
    torch.testing.assert_close(again.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    assert float(again.square().mean()) == pytest.approx(1, abs=1e-4)


def test_a_network_that_returns_no_latent_is_refused() -> None:
    class Blind(nn.Module):
        def encode(self, image: torch.Tensor) -> torch.Tensor:
            return image

    with pytest.raises(WeightsError, match="Blind returns Tensor, which holds no latent"):
        encode(Blind(), PLAIN, low_squares(1))
