"""What RIDFR as a whole keeps: what each part sees, its weights and guidance, what each phase trains and measures."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings
from keepface.errors import RecipeError, WeightsError
from keepface.methods.faceme import FaceMe
from keepface.methods.method import References
from keepface.methods.ridfr import RIDFR, RIDFRSettings, align_loss, side_by_side
from keepface.seeds import generator
from keepface.train.fresh import fresh_family

from ..toy import FAMILY, METHOD, low_squares, references
from .ridfr_toy import IDENTITY, RIDFR_METHOD, opened, people, toy_batch
from .seen import Seen

SHORT = SamplerSettings(name="ddim", steps=2, start="noise")
ONE_STEP = SamplerSettings(name="ddim", steps=1, start="noise")


@pytest.fixture(scope="module")
def made() -> RIDFR:
    return opened()


@pytest.fixture
def method(made: RIDFR) -> RIDFR:
    return copy.deepcopy(made)


@pytest.fixture
def begun() -> RIDFR:
    return RIDFR.begin(fresh_family(FAMILY, seed=0), RIDFR_METHOD, seed=0)


def restore(
    method: RIDFR,
    who: list[References | None],
    settings: SamplerSettings = SHORT,
    guidance: float = 1.0,
    seeds: list[int] | None = None,
) -> Tensor:
    *_, last = method.restore(low_squares(len(who)), who, settings, guidance, seeds or list(range(len(who))))
    return last.x_t


# ---- what each part sees ----


def test_the_content_module_sees_latent_and_low_pixels_and_the_prompt_but_no_identity(method: RIDFR) -> None:
    unet, content = Seen(method.family.unet), Seen(method.content)
    half = torch.cat([torch.zeros(1, 3, 32, 16), torch.ones(1, 3, 32, 16)], dim=3)
    list(method.restore(half, [people("a")], ONE_STEP, 1.0, [0]))
    (led,), (shown,) = unet.calls, content.calls
    assert torch.equal(shown["x_t"][:, :4], led["x_t"]) and shown["x_t"].shape == (1, 7, 4, 4)
    low = shown["x_t"][:, 4:]  # 32 px shrunk to 4: only the columns beside the edge are mixed
    assert torch.allclose(low[..., 0], torch.tensor(-1.0), atol=0.02)
    assert torch.allclose(low[..., 3], torch.tensor(1.0), atol=0.02)
    assert torch.equal(shown["encoder_hidden_states"], led["encoder_hidden_states"])
    assert shown["encoder_hidden_states"].shape == (1, 16, 32)
    assert "cross_attention_kwargs" not in shown and led["cross_attention_kwargs"]["ip_hidden_states"] is not None


def test_a_reference_gives_four_tokens_and_references_stand_side_by_side(method: RIDFR) -> None:
    one, many = method._inject([people("a")]), method._inject([people("a", "b", "c"), None])
    assert one is not None and many is not None
    nobody = 4  # tokens of the null identity, which come first and have no share beside a whole reference
    assert one.tokens.shape == (1, nobody + 4, 32) and many.tokens.shape == (2, nobody + 4 * 3, 32)
    torch.testing.assert_close(many.tokens[0, :8], one.tokens[0], atol=1e-5, rtol=0)
    shares = many.bias.exp().tolist()
    assert shares == [[0.0] * 4 + [1.0] * 12, [1.0] * 4 + [0.0] * 12]


def test_both_the_low_picture_and_the_references_change_what_comes_out(method: RIDFR) -> None:
    plain, led = restore(method, [None]), restore(method, [people("a")])
    *_, other = method.restore(1 - low_squares(1), [None], SHORT, 1.0, [0])
    assert float((plain - led).abs().max()) > 1e-3 and float((plain - other.x_t).abs().max()) > 1e-3


def test_the_start_is_noise_alone_so_the_seed_and_not_the_low_pictures_latent_decides_it(method: RIDFR) -> None:
    unet = Seen(method.family.unet)
    for low in (low_squares(1), 1 - low_squares(1)):
        list(method.restore(low, [None], ONE_STEP, 1.0, [3]))
    assert torch.equal(unet.calls[0]["x_t"], unet.calls[1]["x_t"])


def test_fidelity_begins_later_and_from_the_low_picture(method: RIDFR) -> None:
    unet, settings = Seen(method.family.unet), SamplerSettings(name="ddim", steps=1, start="noise", fidelity=0.75)
    *_, kept = method.restore(low_squares(1), [None], settings, 1.0, [3])
    z_LQ, alpha_bar = method.family.encode(low_squares(1)), method.family.scheduler.alphas_cumprod
    (call,) = unet.calls
    eps = (call["x_t"] - alpha_bar[call["t"]].sqrt() * z_LQ) / (1 - alpha_bar[call["t"]]).sqrt()
    torch.testing.assert_close(eps[0], torch.randn(eps.shape[1:], generator=generator(3, "restore")), atol=1e-4, rtol=0)
    assert kept.total == 1


# ---- weights ----


def test_the_order_of_the_references_does_not_matter(method: RIDFR) -> None:
    there = restore(method, [people("a", "b", "c", weights=[1.0, 0.5, 0.7])])
    back = restore(method, [people("c", "a", "b", weights=[0.7, 1.0, 0.5])])
    torch.testing.assert_close(there, back, atol=1e-4, rtol=0)


def test_a_reference_of_weight_zero_is_as_if_it_were_left_out(method: RIDFR) -> None:
    left_out = restore(method, [people("a")])
    assert torch.equal(restore(method, [people("a", "b", weights=[1.0, 0.0])]), left_out)
    assert torch.equal(restore(method, [people("a", weights=[0.0])]), restore(method, [None]))


def test_one_references_weight_leads_steadily_from_nobody_to_the_published_form(method: RIDFR) -> None:
    at = {w: restore(method, [people("a", weights=[w])], ONE_STEP) for w in (0.0, 0.01, 0.3, 0.7, 1.0)}
    away = [float((at[w] - at[0.0]).norm()) for w in (0.01, 0.3, 0.7, 1.0)]
    assert 0 < away[0] < away[1] < away[2] < away[3] and away[0] < 0.1 * away[3]


def test_the_shares_of_keys_are_the_weights_and_what_they_leave_open(method: RIDFR) -> None:
    c_id, weights = torch.randn(2, 2, 4, 32), torch.tensor([[0.25, 0.75], [0.0, 0.0]])
    put = side_by_side(torch.zeros(4, 32), c_id, weights, 0.5)
    assert torch.allclose(put.bias.exp()[:, ::4], torch.tensor([[0.25, 0.25, 0.75], [1.0, 0.0, 0.0]]))
    assert put.scale == 0.5 and torch.equal(put.tokens[:, 4:8], c_id[:, 0])


# ---- guidance and seeds ----


def test_guidance_zero_ignores_the_references_and_guided_batches_equal_two_calls(method: RIDFR) -> None:
    who = [people("a"), people("b", "c")]
    plain, led = (restore(method, who, ONE_STEP, guidance) for guidance in (0.0, 1.0))
    assert torch.equal(plain, restore(method, [None, None], ONE_STEP))
    content = Seen(method.content)
    guided = restore(method, who, ONE_STEP, guidance=3.0)  # one DDIM step is linear in the prediction
    torch.testing.assert_close(guided, plain + 3 * (led - plain), atol=1e-3, rtol=1e-4)
    assert len(content.calls) == 1 and len(content.calls[0]["x_t"]) == 2  # both halves share its residuals


def test_an_item_without_references_is_the_same_at_any_guidance(method: RIDFR) -> None:
    mixed = restore(method, [people("a"), None], guidance=4.0)
    torch.testing.assert_close(mixed[1], restore(method, [None, None])[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["unipc", "ddpm"])
def test_a_seed_gives_one_picture_whatever_the_batch(method: RIDFR, name: Any) -> None:
    settings, person = SamplerSettings(name=name, steps=3, start="noise"), people("b")
    low = low_squares(2)[1:]
    *_, alone = method.restore(low, [person], settings, 1.5, [7])
    *_, other = method.restore(low, [person], settings, 1.5, [8])
    *_, batch = method.restore(low_squares(3), [None, person, people("a", "c")], settings, 1.5, [1, 7, 3])
    torch.testing.assert_close(batch.x_t[1:2], alone.x_t, atol=1e-4, rtol=0)
    assert not torch.allclose(other.x_t, alone.x_t, atol=1e-2)


# ---- training ----


def test_a_fresh_content_module_adds_exactly_nothing(begun: RIDFR) -> None:
    condition = begun._condition(low_squares(2))
    down, middle = begun._residuals(torch.randn(2, 4, 4, 4), torch.tensor([1, 999]), condition, torch.full((2,), 32.0))
    assert all(torch.equal(part, torch.zeros_like(part)) for part in (*down, middle))


TRAINED = {"content": "content", "identity": "identity", "naive": "content", "alignment": "content"}


@pytest.mark.parametrize("phase", TRAINED)
def test_a_phase_gives_gradients_to_what_the_paper_trains_and_to_nothing_else(method: RIDFR, phase: str) -> None:
    networks = method.trainable(phase)
    assert list(dict(networks.named_children())) == [TRAINED[phase]]
    method.loss(toy_batch(method, each=1 if phase == "naive" else 2), phase)["total"].backward()
    trained = dict(networks.named_parameters())
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    assert sum(float(p.grad.square().sum()) for p in trained.values()) > 0
    held = {id(parameter) for parameter in trained.values()}
    everything = (method.family.unet, method.family.vae, method.content, method.adapter)
    others = [parameter for part in everything for parameter in part.parameters() if id(parameter) not in held]
    assert others and all(parameter.grad is None and not parameter.requires_grad for parameter in others)


def test_alignment_calls_the_content_module_once_and_the_unet_once_a_reference(method: RIDFR) -> None:
    unet, content = Seen(method.family.unet), Seen(method.content)
    batch = toy_batch(method)
    losses = method.loss(batch, "alignment")
    assert len(content.calls) == 1 and len(unet.calls) == 2
    one, two = unet.calls
    for name in ("x_t", "t", "down_block_additional_residuals", "mid_block_additional_residual"):
        assert one[name] is two[name]
    assert set(losses) == {"total", "denoising", "align"} and float(losses["align"]) > 0
    assert float(losses["total"]) == pytest.approx(float(losses["denoising"] + losses["align"]), rel=1e-6)


def test_one_reference_given_twice_aligns_exactly(method: RIDFR) -> None:
    batch = toy_batch(method)
    twice = replace(
        batch,
        recogniser=batch.recogniser[:, :1].repeat(1, 2, 1),
        tokens=batch.tokens[:, :1].repeat(1, 2, 1, 1),  # type: ignore[index]
    )
    losses = method.loss(twice, "alignment")
    assert float(losses["align"]) == 0.0
    first = {name: getattr(twice, name)[:, :1] for name in ("recogniser", "image", "has_reference", "tokens")}
    alone = replace(twice, **first)
    assert float(losses["total"]) == pytest.approx(float(method.loss(alone, "naive")["total"]), rel=1e-6)


def test_the_gradient_of_alignment_comes_through_both_branches() -> None:
    first, second = torch.zeros(1, 1, 1, 2, requires_grad=True), torch.ones(1, 1, 1, 2, requires_grad=True)
    align_loss(first, second).backward()
    assert first.grad.tolist() == [[[[-1.0, -1.0]]]] and second.grad.tolist() == [[[[1.0, 1.0]]]]


def test_lambda_weighs_the_alignment(method: RIDFR) -> None:
    batch = toy_batch(method)
    for weight in (0.0, 3.0):
        method.settings = replace(method.settings, align_weight=weight)
        losses = method.loss(batch, "alignment")
        assert float(losses["total"]) == pytest.approx(float(losses["denoising"] + weight * losses["align"]), rel=1e-6)


def test_aligning_velocities_is_aligning_noises_weighted_as_the_diffusion_loss_is(method: RIDFR) -> None:
    """eps = sqrt(alpha_bar) v + sqrt(1 - alpha_bar) x_t, so either loss on eps is alpha_bar times that on v."""
    rng = generator(0, "velocities")
    x_0, eps, v_1, v_2 = (torch.randn(1, 4, 4, 4, generator=rng) for _ in range(4))
    scheduler, t = method.family.scheduler, torch.tensor([321])
    alpha_bar = float(scheduler.alphas_cumprod[321])
    x_t, v = scheduler.add_noise(x_0, eps, t), scheduler.get_velocity(x_0, eps, t)

    def noise_of(velocity: Tensor) -> Tensor:
        return alpha_bar**0.5 * velocity + (1 - alpha_bar) ** 0.5 * x_t

    torch.testing.assert_close(noise_of(v), eps, atol=1e-5, rtol=0)
    for one, two in ((v_1, v_2), (v_1, v)):
        ratio = float(align_loss(noise_of(one), noise_of(two)) / align_loss(one, two))
        assert ratio == pytest.approx(alpha_bar, rel=1e-3)


def test_the_identity_phase_shows_the_low_picture_to_a_share_of_the_batch(method: RIDFR) -> None:
    content, batch = Seen(method.content), toy_batch(method, count=4)
    losses = []
    for share, shown in ((0.0, 0), (0.5, 2), (1.0, 4)):
        method.settings = replace(method.settings, low_share=share)
        losses.append(float(method.loss(batch, "identity")["total"]))
        assert sum(len(call["x_t"]) for call in content.calls) == shown
        content.calls.clear()
    assert len(set(losses)) == 3


def test_phases_that_go_on_from_others_say_so(begun: RIDFR) -> None:
    with pytest.raises(RecipeError, match="phase 'alignment' needs the phase 'content' before it"):
        begun.trainable("alignment")
    begun.trainable("content")
    with pytest.raises(RecipeError, match="phase 'naive' needs the phase 'identity' before it"):
        begun.trainable("naive")
    with pytest.raises(RecipeError, match="phase 'stage1' is unknown; use one of content, identity, naive, alignment"):
        begun.trainable("stage1")


# ---- variants ----


def test_a_picture_loss_looks_at_the_predicted_clean_latents_and_adds_to_the_total(method: RIDFR) -> None:
    batch, seen = toy_batch(method, each=1), []
    plain = float(method.loss(batch, "identity")["total"])
    method.picture_loss = lambda x_0, given: seen.append(x_0) or x_0.square().mean()
    losses = method.loss(batch, "identity")
    assert float(losses["denoising"]) == pytest.approx(plain)
    assert float(losses["total"]) == pytest.approx(plain + float(seen[0].square().mean()), rel=1e-5)
    assert seen[0].shape == (3, 4, 4, 4)


def test_the_scale_of_the_identity_at_zero_leaves_the_prompt_alone(method: RIDFR) -> None:
    method.settings = replace(method.settings, identity_scale=0.0)
    assert torch.equal(restore(method, [people("a")]), restore(method, [None]))


# ---- folders ----


def test_a_method_comes_back_as_it_was_saved(method: RIDFR, tmp_path: Path) -> None:
    method.family.save_pretrained(tmp_path)
    method.save(tmp_path)
    again, who = RIDFR.load(Family.from_pretrained(tmp_path)), [people("a"), None]
    twin = RIDFR.load(Family.from_pretrained(tmp_path))
    assert torch.equal(restore(again, who), restore(twin, who))
    torch.testing.assert_close(restore(again, who), restore(method, who), atol=0.05, rtol=0)  # saved in half precision
    method.save(tmp_path, torch.float32)
    method.family.save_pretrained(tmp_path, torch.float32)
    assert torch.equal(restore(RIDFR.load(Family.from_pretrained(tmp_path)), who), restore(method, who))


def test_a_phase_takes_the_parts_that_the_family_has(begun: RIDFR, method: RIDFR, tmp_path: Path) -> None:
    begun.trainable("content")
    begun.family.save_pretrained(tmp_path)
    begun.save(tmp_path, torch.float32)
    assert not (tmp_path / "ridfr" / "identity.safetensors").exists()
    family = Family.from_pretrained(tmp_path)
    following = RIDFR.begin(family, RIDFR_METHOD, seed=5)
    assert following.has_content and not following.has_identity
    assert torch.equal(following.content.conv_in.weight, begun.content.conv_in.weight)
    with pytest.raises(RecipeError, match='the recipe wants latent; set .method. content = "pixel"'):
        RIDFR.begin(family, replace(RIDFR_METHOD, content="latent"), seed=5)
    method.save(tmp_path, torch.float32)
    other_sizes = RIDFRSettings(identity=replace(IDENTITY, depth=3))
    assert RIDFR.begin(family, other_sizes, seed=5).settings.identity == IDENTITY


def test_a_family_with_the_content_module_alone_restores_without_references_only(tmp_path: Path) -> None:
    method = opened()
    method.has_identity = False
    method.family.save_pretrained(tmp_path)
    method.save(tmp_path)
    again = RIDFR.load(Family.from_pretrained(tmp_path))
    assert restore(again, [None]).shape == (1, 4, 4, 4)
    with pytest.raises(WeightsError, match="family 'tiny' has no ridfr identity part; train it: keepface train"):
        restore(again, [people("a")])


def test_a_family_that_was_never_trained_for_it_says_what_to_type(begun: RIDFR) -> None:
    with pytest.raises(WeightsError, match="family 'tiny' has no ridfr weights; train them: keepface train"):
        RIDFR.load(begun.family)


def test_references_of_other_networks_or_without_tokens_are_refused(method: RIDFR) -> None:
    with pytest.raises(WeightsError, match="these references have no image tokens"):
        restore(method, [references("a")])
    narrow = References(torch.zeros(1, 64), torch.zeros(1, 8), torch.ones(1), torch.zeros(1, 49, 1280))
    with pytest.raises(WeightsError, match=r"references of widths \(64, 1280\); .* 128 and image tokens of 1280"):
        restore(method, [narrow])


def test_sizes_that_do_not_fit_the_family_are_refused() -> None:
    with pytest.raises(RecipeError, match="the identity's width is 768; the family's UNet takes 32"):
        RIDFR.begin(fresh_family(FAMILY, seed=0), RIDFRSettings(), seed=0)


def test_another_method_over_the_same_family_is_not_changed_by_it() -> None:
    family = fresh_family(FAMILY, seed=0)
    faceme, who = FaceMe.begin(family, METHOD, seed=0), [references("a"), None]

    def picture() -> Tensor:
        *_, last = faceme.restore(low_squares(2), who, SHORT, 2.0, [0, 1])
        return last.x_t

    before, names = picture(), set(family.unet.state_dict())
    restore(opened(family), [people("a")])
    assert torch.equal(picture(), before) and set(family.unet.state_dict()) == names


def test_a_family_that_is_moved_keeps_its_identity(method: RIDFR) -> None:
    before = restore(method, [people("a")])
    method.family.to(torch.device("cpu"), torch.float32)  # which sets all processors anew
    assert torch.equal(restore(method, [people("a")]), before)
