"""What FaceMe as a whole keeps: its conditions, guidance, start of training and what each phase trains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from keepface.diffusion.family import Family
from keepface.diffusion.prompt import Prompt
from keepface.diffusion.sampler import SAMPLERS, SamplerSettings
from keepface.errors import RecipeError, WeightsError
from keepface.image.files import to_uint8
from keepface.methods.faceme import FaceMe
from keepface.methods.method import References, TrainBatch
from keepface.seeds import generator
from keepface.train.fresh import fresh_family

from ..toy import FAMILY, METHOD, low_squares, references
from .seen import Seen

SHORT = SamplerSettings(name="ddim", steps=2)
ONE_STEP = SamplerSettings(name="ddim", steps=1)


def restore(
    method: FaceMe,
    people: list[References | None],
    settings: SamplerSettings = SHORT,
    guidance: float = 1.0,
    seeds: list[int] | None = None,
) -> Tensor:
    """Return the last step's latents for as many squares as there are people."""
    low = low_squares(len(people))
    *_, last = method.restore(low, people, settings, guidance, seeds or list(range(len(people))))
    return last.x_t


def toy_batch(method: FaceMe, count: int = 4, dropped: int = 0) -> TrainBatch:
    rng = generator(0, "toy batch")
    people = references(*(f"p{number}" for number in range(2 * count)))
    has = torch.ones(count, 2, dtype=torch.bool)
    has[:dropped] = False
    low = low_squares(count)
    return TrainBatch(
        clean=low.flip(3),
        low=low,
        recogniser=people.recogniser.view(count, 2, -1),
        image=people.image.view(count, 2, -1),
        has_reference=has,
        detail_px=torch.full((count,), 32.0),
        eps=torch.randn(count, *method.family.latent_shape, generator=rng),
        t=torch.randint(0, 1000, (count,), generator=rng),
    )


# ---- conditions ----


def test_both_networks_see_the_same_prompt_and_conditions_and_the_pooled_vector_carries_no_identity(
    tiny_method: FaceMe,
) -> None:
    unet, control = Seen(tiny_method.family.unet), Seen(tiny_method.controlnet)
    pooled = tiny_method.family.prompt.pooled.clone()
    restore(tiny_method, [references("a", "b"), None], ONE_STEP, guidance=2.0)
    (seen,), (seen_too,) = unet.calls, control.calls
    for name in ("x_t", "t", "encoder_hidden_states"):
        assert torch.equal(seen[name], seen_too[name])
    for name, value in seen["added_cond_kwargs"].items():
        assert torch.equal(value, seen_too["added_cond_kwargs"][name])
    assert torch.equal(seen["added_cond_kwargs"]["text_embeds"], pooled.expand(4, -1))
    assert seen["added_cond_kwargs"]["time_ids"].tolist() == [[32, 32, 0, 0, 32, 32]] * 4
    assert seen["encoder_hidden_states"].shape == (4, 16, 32)


def test_the_control_picture_reaches_from_minus_one_to_one(tiny_method: FaceMe) -> None:
    control = Seen(tiny_method.controlnet)
    half = torch.cat([torch.zeros(1, 3, 32, 16), torch.ones(1, 3, 32, 16)], dim=3)
    list(tiny_method.restore(half, [None], ONE_STEP, 1.0, [0]))
    given = control.calls[0]["controlnet_cond"]
    assert torch.equal(given, torch.where(half > 0, 1.0, -1.0))
    batch = toy_batch(tiny_method)
    tiny_method.loss(batch, "stage2")
    assert torch.equal(control.calls[1]["controlnet_cond"], batch.low * 2 - 1)


def test_over_an_empty_caption_the_words_around_the_face_are_the_named_ones(tiny_method: FaceMe) -> None:
    prompt = tiny_method.family.prompt
    wanted = restore(tiny_method, [references("a"), None], guidance=2.0)
    tiny_method.family.prompt = Prompt(torch.zeros_like(prompt.tokens), prompt.pooled, prompt.face_index, prompt.tokens)
    assert torch.equal(restore(tiny_method, [references("a"), None], guidance=2.0), wanted)


def test_the_low_picture_and_the_references_both_change_what_comes_out(tiny_method: FaceMe) -> None:
    plain = restore(tiny_method, [None])
    led = restore(tiny_method, [references("a")])
    *_, other = tiny_method.restore(1 - low_squares(1), [None], SHORT, 1.0, [0])
    assert float((plain - led).abs().max()) > 1e-3 and float((plain - other.x_t).abs().max()) > 1e-3


def test_the_order_of_the_references_does_not_matter(tiny_method: FaceMe) -> None:
    there = restore(tiny_method, [references("a", "b", "c", weights=[1.0, 0.5, 0.7])])
    back = restore(tiny_method, [references("c", "a", "b", weights=[0.7, 1.0, 0.5])])
    torch.testing.assert_close(there, back, atol=1e-4, rtol=0)


def test_a_reference_of_weight_zero_is_as_if_it_were_left_out(tiny_method: FaceMe) -> None:
    left_out = restore(tiny_method, [references("a")])
    assert torch.equal(restore(tiny_method, [references("a", "b", weights=[1.0, 0.0])]), left_out)
    assert torch.equal(restore(tiny_method, [references("a", weights=[0.0])]), restore(tiny_method, [None]))


def test_weights_in_between_move_the_output_steadily_away_from_leaving_the_reference_out(tiny_method: FaceMe) -> None:
    def at(weight: float) -> Tensor:
        return restore(tiny_method, [references("a", "b", weights=[1.0, weight])], ONE_STEP)

    away = [float((at(weight) - at(0.0)).norm()) for weight in (0.1, 0.3, 0.6, 1.0)]
    assert 0 < away[0] < away[1] < away[2] < away[3]


# ---- guidance ----


def test_guidance_zero_ignores_the_references_and_guided_batches_equal_two_calls(tiny_method: FaceMe) -> None:
    people = [references("a"), references("b", "c")]
    plain, led = (restore(tiny_method, people, ONE_STEP, guidance) for guidance in (0.0, 1.0))
    assert torch.equal(plain, restore(tiny_method, [None, None], ONE_STEP))
    # One DDIM step is linear in the prediction, so guiding the prediction guides its result.
    guided = restore(tiny_method, people, ONE_STEP, guidance=3.0)
    torch.testing.assert_close(guided, plain + 3 * (led - plain), atol=1e-3, rtol=1e-4)


def test_an_item_without_references_is_the_same_at_any_guidance(tiny_method: FaceMe) -> None:
    mixed = restore(tiny_method, [references("a"), None], guidance=4.0)
    torch.testing.assert_close(mixed[1], restore(tiny_method, [None, None])[1], atol=1e-4, rtol=0)


# ---- seeds ----


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_gives_one_picture_whatever_the_batch_and_another_seed_another(tiny_method: FaceMe, name: Any) -> None:
    settings, person = SamplerSettings(name=name, steps=4), references("b")
    low = low_squares(2)[1:]
    *_, alone = tiny_method.restore(low, [person], settings, 1.5, [7])
    *_, other = tiny_method.restore(low, [person], settings, 1.5, [8])
    *_, batch = tiny_method.restore(low_squares(3), [None, person, references("a", "b")], settings, 1.5, [1, 7, 3])
    torch.testing.assert_close(batch.x_t[1:2], alone.x_t, atol=1e-4, rtol=0)
    pictures = [to_uint8(tiny_method.family.decode(step.x_t[-1:])[0]).astype(int) for step in (alone, other)]
    assert abs(pictures[0] - pictures[1]).max() > 1


def test_drawing_new_faces_needs_no_low_picture_and_follows_seed_and_references(tiny_method: FaceMe) -> None:
    def draw(people: list[References | None], seeds: list[int]) -> Tensor:
        *_, last = tiny_method.synthesise(people, SHORT, 1.0, seeds)
        return last.x_t

    control, person = Seen(tiny_method.controlnet), references("a")
    once = draw([person, person, None], [1, 2, 1])
    assert once.shape == (3, 4, 4, 4) and not control.calls
    torch.testing.assert_close(draw([person], [1]), once[:1], atol=1e-4, rtol=0)
    assert not torch.allclose(once[0], once[1], atol=1e-2) and not torch.allclose(once[0], once[2], atol=1e-3)


# ---- training ----


@pytest.fixture
def begun() -> FaceMe:
    return FaceMe.begin(fresh_family(FAMILY, seed=0), METHOD, seed=0)


def test_a_fresh_controlnet_adds_exactly_nothing(begun: FaceMe) -> None:
    x, t, c = torch.randn(2, 4, 4, 4), torch.tensor([1, 999]), torch.randn(2, 16, 32)
    added = begun.family.added_conditions(torch.full((2,), 32.0))
    down, middle = begun.controlnet(x, t, c, controlnet_cond=low_squares(2), added_cond_kwargs=added, return_dict=False)
    assert all(torch.equal(part, torch.zeros_like(part)) for part in (*down, middle))
    batch = toy_batch(begun)
    assert torch.equal(begun.loss(batch, "stage1")["total"], begun.loss(batch, "base")["total"])


def test_a_fresh_controlnet_is_a_copy_of_the_unets_encoder(begun: FaceMe) -> None:
    unet, control = begun.family.unet.state_dict(), begun.controlnet.state_dict()
    shared = [name for name in control if name.startswith(("conv_in", "down_blocks", "mid_block", "time_embedding"))]
    assert len(shared) > 50 and all(torch.equal(control[name], unet[name]) for name in shared)


TRAINED = {"base": {"unet", "id_encoder", "prompt"}, "stage1": {"controlnet", "id_encoder"}, "stage2": {"controlnet"}}
TRAINED["joint"] = TRAINED["base"] | TRAINED["stage1"]


@pytest.mark.parametrize("phase", TRAINED)
def test_a_phase_gives_gradients_to_what_the_paper_trains_and_to_nothing_else(begun: FaceMe, phase: str) -> None:
    networks = begun.trainable(phase)
    assert set(dict(networks.named_children())) == TRAINED[phase]
    begun.loss(toy_batch(begun, dropped=1), phase)["total"].backward()
    trained = dict(networks.named_parameters())
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    for part in TRAINED[phase]:
        power = sum(float(p.grad.square().sum()) for name, p in trained.items() if name.startswith(f"{part}."))
        assert power > 0, part
    held = {id(parameter) for parameter in trained.values()}
    everything = (begun.family.unet, begun.family.vae, begun.controlnet, begun.id_encoder)
    others = [parameter for part in everything for parameter in part.parameters() if id(parameter) not in held]
    assert others and all(parameter.grad is None and not parameter.requires_grad for parameter in others)
    assert begun.family.prompt.tokens.requires_grad == (phase in ("base", "joint"))


def test_features_of_another_familys_networks_are_refused_by_their_widths(begun: FaceMe) -> None:
    batch = toy_batch(begun)
    begun.trainable("stage1")
    with pytest.raises(RecipeError, match=r"\(512, 1280\)"):
        begun.loss(replace(batch, recogniser=torch.zeros(4, 2, 512)), "stage1")


def test_an_unknown_phase_is_named_with_the_known_ones(begun: FaceMe) -> None:
    with pytest.raises(RecipeError, match="phase 'stage3' is unknown; use one of base, stage1, stage2, joint"):
        begun.trainable("stage3")


def test_the_loss_is_the_mean_squared_error_of_noise_or_velocity(begun: FaceMe) -> None:
    batch, family = toy_batch(begun), begun.family
    with torch.no_grad():
        for parameter in family.unet.conv_out.parameters():
            parameter.zero_()  # predicts zero, so the loss is the mean square of the target
        x_0 = family.encode(batch.clean)
        alpha_bar = family.scheduler.alphas_cumprod[batch.t].view(-1, 1, 1, 1)
        velocity = alpha_bar.sqrt() * batch.eps - (1 - alpha_bar).sqrt() * x_0
        assert float(begun.loss(batch, "base")["total"]) == pytest.approx(float(velocity.square().mean()), rel=1e-5)
        family.scheduler.register_to_config(prediction_type="epsilon")
        assert float(begun.loss(batch, "base")["total"]) == pytest.approx(float(batch.eps.square().mean()), rel=1e-5)


def test_the_joint_phase_shows_the_low_picture_to_seven_of_eight_and_the_loss_is_their_common_mean(
    tiny_method: FaceMe,
) -> None:
    seen = []
    tiny_method.controlnet.register_forward_pre_hook(
        lambda _, given, named: seen.append(len(given[0])), with_kwargs=True
    )
    batch = toy_batch(tiny_method, count=8)
    joint = float(tiny_method.loss(batch, "joint")["total"])
    assert seen == [7]
    led, without = (
        float(
            tiny_method.loss(
                TrainBatch(**{name: part[i] for name, part in vars(batch).items() if part is not None}), phase
            )["total"]
        )
        for i, phase in ((slice(0, 7), "stage1"), (slice(7, 8), "base"))
    )
    assert joint == pytest.approx((7 * led + without) / 8, rel=1e-4)


def test_a_phase_that_goes_on_has_every_part_of_the_one_before(tiny_method: FaceMe, tmp_path: Path) -> None:
    tiny_method.family.save_pretrained(tmp_path, torch.float32)
    tiny_method.save(tmp_path, torch.float32)
    family = Family.from_pretrained(tmp_path)
    going_on, afresh = (FaceMe.begin(family, METHOD, seed=5, goes_on=kept) for kept in (True, False))
    before = tiny_method.controlnet.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in going_on.controlnet.state_dict().items())
    assert not all(torch.equal(before[name], tensor) for name, tensor in afresh.controlnet.state_dict().items())


# ---- folders ----


def test_a_method_comes_back_as_it_was_saved(tiny_method: FaceMe, tmp_path: Path) -> None:
    tiny_method.family.save_pretrained(tmp_path)
    tiny_method.save(tmp_path)
    again = FaceMe.load(Family.from_pretrained(tmp_path))
    people = [references("a"), None]
    assert torch.equal(restore(again, people), restore(tiny_method, people))


def test_the_base_phase_leaves_an_encoder_and_no_controlnet_and_the_next_phase_takes_it(
    begun: FaceMe, tmp_path: Path
) -> None:
    begun.trainable("base")
    begun.family.save_pretrained(tmp_path)
    begun.save(tmp_path, torch.float32)
    assert not (tmp_path / "faceme" / "controlnet").exists()
    family = Family.from_pretrained(tmp_path)
    following = FaceMe.begin(family, METHOD, seed=5)
    assert torch.equal(following.id_encoder.mix.mlp1.fc1.weight, begun.id_encoder.mix.mlp1.fc1.weight)
    with pytest.raises(WeightsError, match="controlnet"):
        FaceMe.load(family)


def test_a_family_that_was_never_trained_for_it_says_what_to_type(begun: FaceMe) -> None:
    with pytest.raises(WeightsError, match="family 'tiny' has no faceme weights; train them: keepface train"):
        FaceMe.load(begun.family)
