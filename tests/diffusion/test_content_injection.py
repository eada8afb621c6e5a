"""A ControlNet with more input channels: what it copies, what it adds at the start, and its folder."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from keepface.diffusion.content_injection import ContentInjection, pad_items, pixels_on_grid
from keepface.diffusion.family import load_network, save_network

UNET = {
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 24,
    "attention_head_dim": 2,
    "norm_num_groups": 8,
}


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DConditionModel(**UNET).requires_grad_(False)


def words(count: int) -> dict[str, object]:
    return {"encoder_hidden_states": torch.zeros(count, 3, 24), "added_cond_kwargs": {}}


@pytest.mark.parametrize("extra", [3, 4])
def test_the_old_channels_are_copied_and_the_new_ones_are_zero(unet: UNet2DConditionModel, extra: int) -> None:
    content = ContentInjection.begin(unet, extra)
    weight = content.conv_in.weight.detach()
    assert content.config.in_channels == 4 + extra and weight.shape == (16, 4 + extra, 3, 3)
    assert torch.equal(weight[:, :4], unet.conv_in.weight) and float(weight[:, 4:].abs().max()) == 0
    assert torch.equal(content.conv_in.bias, unet.conv_in.bias)
    held, copied = unet.state_dict(), content.state_dict()
    shared = [name for name in copied if name.startswith(("down_blocks", "mid_block", "time_embedding"))]
    assert len(shared) > 30 and all(torch.equal(copied[name], held[name]) for name in shared)


def test_it_has_no_hint_encoder_and_adds_nothing_at_the_start(unet: UNet2DConditionModel) -> None:
    content = ContentInjection.begin(unet, 3)
    assert not any("cond_embedding" in name for name in content.state_dict())
    x_t, low = torch.randn(2, 4, 8, 8), torch.rand(2, 3, 8, 8)
    down, middle = content.inject(x_t, torch.tensor([3, 500]), low, words(2))
    assert all(torch.equal(part, torch.zeros_like(part)) for part in (*down, middle))


def test_it_comes_back_from_its_folder_as_it_was(unet: UNet2DConditionModel, tmp_path: Path) -> None:
    content = ContentInjection.begin(unet, 3).requires_grad_(False)
    rng = torch.Generator().manual_seed(1)
    for parameter in content.parameters():
        parameter.copy_(0.1 * torch.randn(parameter.shape, generator=rng))
    save_network(content, tmp_path / "content", torch.float32)
    again = load_network(ContentInjection, tmp_path / "content", torch.float32)
    assert again.config.in_channels == 7
    given = (torch.randn(1, 4, 8, 8), torch.tensor([9]), torch.rand(1, 3, 8, 8), words(1))
    (down, middle), (down_too, middle_too) = content.inject(*given), again.inject(*given)
    assert torch.equal(middle, middle_too) and float(middle.abs().max()) > 0
    assert all(torch.equal(one, two) for one, two in zip(down, down_too, strict=True))


@pytest.mark.parametrize("side", [64, 8, 5])
def test_a_low_picture_keeps_its_colour_on_the_grid_and_reaches_from_minus_one_to_one(side: int) -> None:
    for value, there in ((0.0, -1.0), (0.25, -0.5), (1.0, 1.0)):
        grid = pixels_on_grid(torch.full((1, 3, side, side), value), (8, 8))
        assert grid.shape == (1, 3, 8, 8) and torch.allclose(grid, torch.tensor(there), atol=1e-5)


def test_shrinking_filters_first() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    assert float(pixels_on_grid(stripes, (8, 8))[..., 1:-1].abs().max()) < 0.05  # an even grey, no pattern


def test_items_that_are_added_get_nothing() -> None:
    down, middle = pad_items(([torch.ones(2, 3, 4, 4)], torch.ones(2, 5, 2, 2)), 1)
    assert down[0].shape == (3, 3, 4, 4) and middle.shape == (3, 5, 2, 2)
    assert float(middle[2].abs().max()) == 0 and float(middle[:2].min()) == 1


def test_over_stable_diffusion_it_has_the_published_size_less_the_hint_encoder() -> None:
    with torch.device("meta"):
        content = ContentInjection.begin(UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8), 3)
    assert content.conv_in.weight.shape == (320, 7, 3, 3)
    # 361.28 M of the stock ControlNet, 1.086 M of them its hint encoder, and 3 channels of 3 x 3 for each of 320
    assert sum(p.numel() for p in content.parameters()) / 1e6 == pytest.approx(361.28 - 1.086 + 0.0086, abs=0.006)
