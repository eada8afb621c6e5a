"""Personalisation blocks: Otsu by brute force, the blocks by their own arithmetic, and what they leave of a UNet."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from keepface.diffusion.personalisation import (
    THRESHOLDS,
    Lead,
    Maps,
    Personalisation,
    PersonalisationBlock,
    attention_regularisation,
    balance,
    decoder_places,
    otsu_mask,
    read_with_shares,
)
from keepface.errors import RecipeError

from ..toy import FAMILY
from .test_sft import SD21, call, draw


@pytest.fixture
def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DConditionModel(**FAMILY["unet"]).eval().requires_grad_(False)


@pytest.fixture
def added(unet: UNet2DConditionModel) -> Personalisation:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Personalisation(unet).eval()


def lead(reference: list[int], strength: float = 1.0) -> Lead:
    return Lead(torch.tensor(reference), torch.full((len(reference),), strength), draw(16, 32, seed=9), 4, 6)


def brute_force(values: list[float]) -> list[bool]:
    """Try every threshold on one map and keep the first of those that part it best."""
    least, most = min(values), max(values)
    scaled = [(value - least) / (most - least) for value in values]
    best, chosen = -1.0, 0.0
    for threshold in THRESHOLDS:
        below = [value for value in scaled if value < threshold]
        above = [value for value in scaled if value >= threshold]
        share = len(below) / len(scaled) * len(above) / len(scaled)
        parted = share * (sum(below) / len(below) - sum(above) / len(above)) ** 2 if below and above else 0.0
        if parted > best + 1e-9:
            best, chosen = parted, threshold
    return [value >= chosen for value in scaled]


def test_otsu_finds_what_a_search_over_all_thresholds_finds() -> None:
    maps = draw(40, 25, seed=3).double().softmax(1)
    assert otsu_mask(maps).tolist() == [brute_force(row) for row in maps.tolist()]


def test_otsu_parts_two_heights_and_keeps_a_flat_map_whole() -> None:
    heights = torch.tensor([[0.1, 0.12, 0.9, 0.88, 0.11], [0.3, 0.3, 0.3, 0.3, 0.3]])
    assert otsu_mask(heights).tolist() == [[False, False, True, True, False], [True] * 5]


def test_l_pers_is_zero_for_maps_of_one_shape_and_its_gradient_is_that_of_s_star_alone() -> None:
    star, end = draw(2, 9).abs().requires_grad_(), draw(2, 9, seed=2).abs().requires_grad_()
    assert float(attention_regularisation([Maps(star, 3 * star)]).detach()) == pytest.approx(0, abs=1e-12)
    one = attention_regularisation([Maps(star, end)])
    one.backward()
    assert star.grad is not None and float(star.grad.abs().sum()) > 0 and end.grad is None
    with torch.no_grad():
        by_hand = ((star / star.amax(1)[:, None] - end / end.amax(1)[:, None]) ** 2).mean()
        assert float(one) == pytest.approx(float(by_hand), rel=1e-5)
        assert float(attention_regularisation([Maps(star, end)] * 4)) == pytest.approx(4 * float(by_hand), rel=1e-5)


def test_reading_with_shares_is_the_layers_own_attention(unet: UNet2DConditionModel) -> None:
    layer = PersonalisationBlock(unet.up_blocks[0].attentions[0].transformer_blocks[0]).text
    x, words = draw(2, 9, 32), draw(16, 32, seed=2)
    read, shares = read_with_shares(layer, x, words)
    torch.testing.assert_close(read, layer(x, words.expand(2, -1, -1)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 9))


def test_norm_and_text_attention_begin_as_copies_and_not_as_the_same_tensors(unet: UNet2DConditionModel) -> None:
    frozen = unet.up_blocks[0].attentions[0].transformer_blocks[0]
    block = PersonalisationBlock(frozen)
    x, words = draw(1, 9, 32), draw(1, 16, 32, seed=2)
    assert torch.equal(block.text(block.norm(x), words), frozen.attn2(frozen.norm2(x), words))
    block.text.to_q.weight.data.zero_()
    assert float(frozen.attn2.to_q.weight.abs().max()) > 0


def test_patches_of_the_reference_that_the_mask_hides_do_not_count(unet: UNet2DConditionModel) -> None:
    block = PersonalisationBlock(unet.up_blocks[0].attentions[0].transformer_blocks[0])
    x, r, is_seen = draw(1, 9, 32), draw(1, 9, 32, seed=2), torch.tensor([[True] * 4 + [False] * 5])
    other = r.clone()
    other[:, 4:] += 10 * draw(1, 5, 32, seed=3)
    assert torch.equal(block._look(x, r, is_seen), block._look(x, other, is_seen))
    assert not torch.allclose(block._look(x, r, ~is_seen), block._look(x, other, ~is_seen))


def test_blocks_stand_where_vicos_do_and_in_small_decoders_everywhere(unet: UNet2DConditionModel) -> None:
    with torch.device("meta"):
        large = UNet2DConditionModel(**SD21, use_linear_projection=True)
        assert [tuple(gamma.shape) for gamma in Personalisation(large).gamma.values()] == [
            (1280,),
            (640,),
            (640,),
            (320,),
        ]
    assert decoder_places(large) == (
        "up_blocks.1.attentions.1",
        "up_blocks.2.attentions.0",
        "up_blocks.2.attentions.2",
        "up_blocks.3.attentions.1",
    )
    assert decoder_places(unet) == ("up_blocks.0.attentions.0", "up_blocks.0.attentions.1")
    sizes = FAMILY["unet"] | {"up_block_types": ["UpBlock2D", "UpBlock2D"]}
    with pytest.raises(RecipeError, match="decoder has no transformers"):
        decoder_places(UNet2DConditionModel(**sizes))


def test_gamma_of_zero_is_the_base_bit_for_bit(unet: UNet2DConditionModel, added: Personalisation) -> None:
    x = draw(3, 4, 4, 4)
    plain = call(unet, x)
    with added.over(unet, lead([0, 0])) as maps:
        led = call(unet, x)
    assert torch.equal(led, plain)
    assert [tuple(item.star.shape) for item in maps] == [(1, 4), (1, 4)]  # one reference, four patches, two blocks


def open_gammas(added: Personalisation) -> None:
    for gamma in added.gamma.values():
        gamma.data.copy_(draw(len(gamma), seed=4))


def test_opened_it_changes_pictures_and_never_references(unet: UNet2DConditionModel, added: Personalisation) -> None:
    open_gammas(added)
    x = draw(4, 4, 4, 4)
    plain = call(unet, x)
    with added.over(unet, lead([0, 1])):
        led = call(unet, x)
    assert torch.equal(led[2:], plain[2:])
    assert all(not torch.allclose(led[row], plain[row], atol=1e-4) for row in (0, 1))
    with added.over(unet, lead([0, 1], strength=0.0)):
        assert torch.equal(call(unet, x), plain)


def test_each_picture_looks_at_its_own_reference(unet: UNet2DConditionModel, added: Personalisation) -> None:
    open_gammas(added)
    x = draw(4, 4, 4, 4)  # two pictures, two references
    found = []
    for reference in ([0, 1], [0, 0], [1, 1]):
        with added.over(unet, lead(reference)):
            found.append(call(unet, x))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[2][1])
    assert not torch.equal(found[1][1], found[2][1])


def test_the_balance_is_the_papers_and_afterwards_the_unet_is_what_it_was(
    unet: UNet2DConditionModel, added: Personalisation
) -> None:
    open_gammas(added)
    keys, x, seen = list(unet.state_dict()), draw(2, 4, 4, 4), []
    plain = call(unet, x)
    block = unet.get_submodule(added.places[0]).transformer_blocks[-1]
    handle = block.register_forward_hook(lambda module, given, out: seen.append(out))  # before the blocks' own hook
    with added.over(unet, lead([0])):
        after = block.register_forward_hook(lambda module, given, out: seen.append(out))
        call(unet, x)
        assert list(unet.state_dict()) == keys
    handle.remove()
    after.remove()
    F, F_hat = (item[:1] for item in seen)
    key = added.places[0].replace(".", "_")
    pb, _ = added.blocks[key](F, seen[0][1:], lead([0]))
    torch.testing.assert_close(F_hat, F + added.gamma[key] * pb)
    assert torch.equal(balance(F, pb, 0.0), F)
    assert torch.equal(call(unet, x), plain) and not any(module._forward_hooks for module in unet.modules())


def test_without_gammas_the_blocks_are_simply_added(unet: UNet2DConditionModel) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vico = Personalisation(unet, has_gamma=False)
    x: Tensor = draw(2, 4, 4, 4)
    with vico.over(unet, lead([0])):
        led = call(unet, x)
    assert not vico.gamma and not torch.allclose(led[0], call(unet, x)[0], atol=1e-3)
