"""SFT by its own arithmetic, and what hooking it into a UNet leaves of that UNet."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from keepface.diffusion.sft import SFT, SFTLayers
from keepface.errors import RecipeError

from ..toy import FAMILY

SD21 = {"sample_size": 64, "cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20]}
MAPS = 6  # channels


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DConditionModel(**FAMILY["unet"]).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def layers(unet: UNet2DConditionModel) -> SFTLayers:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = SFTLayers(unet, MAPS, hidden=8)
        for layer in made.layers.values():
            torch.nn.init.normal_(layer.scale.weight, std=0.2)
            torch.nn.init.normal_(layer.shift.weight, std=0.2)
    return made.requires_grad_(False)


def call(unet: UNet2DConditionModel, x: Tensor) -> Tensor:
    added = {"text_embeds": torch.zeros(len(x), 16), "time_ids": torch.full((len(x), 6), 32.0)}
    found: Tensor = unet(x, torch.tensor(300), draw(1, 16, 32).expand(len(x), -1, -1), added_cond_kwargs=added).sample
    return found


def maps(count: int, seed: int = 5) -> dict[Any, Tensor]:
    return {(side, side): draw(count, MAPS, side, side, seed=seed) for side in (4, 2)}


def test_in_sd_21s_sizes_there_are_22_layers_with_the_published_parameters() -> None:
    with torch.device("meta"):
        layers = SFTLayers(UNet2DConditionModel(**SD21, use_linear_projection=True), 256, 128)
    assert len(layers.places) == 22
    assert sum(parameter.numel() for parameter in layers.parameters()) == 53_020_160  # 53.02 M


def test_a_layer_is_its_formula() -> None:
    layer, h, s = SFT(8, 3, 5, groups=2), draw(2, 8, 4, 4), draw(2, 3, 4, 4, seed=2)
    for parameter in layer.parameters():
        parameter.data.copy_(draw(*parameter.shape, seed=parameter.numel()))
    found = layer(h, s)
    groups = h.view(2, 2, 4 * 16)
    normed = (groups - groups.mean(2, keepdim=True)) / (groups.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    normed = normed.view_as(h) * layer.norm.weight[:, None, None] + layer.norm.bias[:, None, None]
    shared = functional.conv2d(s, layer.shared.weight, layer.shared.bias, padding=1).clamp(min=0)
    scale, shift = (functional.conv2d(shared, c.weight, c.bias, padding=1) for c in (layer.scale, layer.shift))
    torch.testing.assert_close(found, normed * (1 + scale) + shift, atol=1e-4, rtol=1e-4)


def test_every_layer_stands_behind_conv2_and_before_the_residual(unet: UNet2DConditionModel, layers: SFTLayers) -> None:
    place, seen = layers.places[0], {}
    block, x = unet.get_submodule(place), draw(1, 4, 4, 4)
    block.register_forward_hook(lambda module, given, out: seen.update(given=given, out=out))
    handle = block.conv2.register_forward_hook(lambda module, given, out: seen.update(h=out))
    with layers.over(unet, maps(1), 1):
        call(unet, x)
    handle.remove()
    block._forward_hooks.clear()
    modulated = layers.layers[place.replace(".", "_")](seen["h"], maps(1)[(4, 4)])
    torch.testing.assert_close(seen["out"], seen["given"][0] + modulated)


def test_rows_without_a_low_picture_pass_bit_for_bit(unet: UNet2DConditionModel, layers: SFTLayers) -> None:
    x = draw(3, 4, 4, 4)
    plain = call(unet, x)
    with layers.over(unet, {}, 0):
        assert torch.equal(call(unet, x), plain)
    with layers.over(unet, maps(2), 2):
        led = call(unet, x)
    assert torch.equal(led[2], plain[2])
    assert all(not torch.allclose(led[row], plain[row], atol=1e-4) for row in (0, 1))


def test_afterwards_the_unet_is_what_it_was(unet: UNet2DConditionModel, layers: SFTLayers) -> None:
    x, keys = draw(2, 4, 4, 4), list(unet.state_dict())
    plain = call(unet, x)
    with layers.over(unet, maps(2), 2):
        assert list(unet.state_dict()) == keys
        call(unet, x)
    wanted = "the UNet has features of 2 x 2, the time-aware encoder gives 4 x 4"
    with pytest.raises(RecipeError, match=wanted), layers.over(unet, {(4, 4): maps(2)[(4, 4)]}, 2):
        call(unet, x)
    assert list(unet.state_dict()) == keys and torch.equal(call(unet, x), plain)
    assert not any(module._forward_hooks for module in unet.modules())


def test_measured_layers_keep_each_channels_mean_and_spread(unet: UNet2DConditionModel) -> None:
    layers, x = SFTLayers(unet, MAPS, hidden=8).requires_grad_(False), draw(8, 4, 4, 4)
    with layers.measured(unet):
        call(unet, x)
    conv, seen = unet.get_submodule(f"{layers.places[0]}.conv2"), []
    handle = conv.register_forward_hook(lambda module, given, out: seen.append(out))
    call(unet, x)
    handle.remove()
    (h,) = seen
    kept = layers.layers[layers.places[0].replace(".", "_")](h, torch.zeros(8, MAPS, 4, 4))
    torch.testing.assert_close(kept.mean((0, 2, 3)), h.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(kept.std((0, 2, 3)), h.std((0, 2, 3)), atol=1e-4, rtol=1e-3)


def test_features_that_lie_channels_last_in_a_frozen_unet_can_be_trained_over(unet: UNet2DConditionModel) -> None:
    layers, x = SFTLayers(unet, MAPS, hidden=8), draw(2, 4, 4, 4)
    gradients = []
    for memory in (torch.contiguous_format, torch.channels_last):
        layers.zero_grad()
        with layers.over(unet, maps(2), 2):
            call(unet, x.to(memory_format=memory)).square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in layers.named_parameters()})  # type: ignore[union-attr]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-3, rtol=1e-3)
