"""What PFStorer as a whole keeps: the base under the person, what each phase trains, its losses and a person's file."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from keepface.config import from_dict, to_dict
from keepface.data.prepare import Pack
from keepface.diffusion.family import Family
from keepface.diffusion.objective import denoising_loss, noised
from keepface.diffusion.personal_part import PersonalSettings
from keepface.diffusion.sampler import SamplerSettings
from keepface.errors import RecipeError, WeightsError
from keepface.methods import DEFAULTS, METHODS, PHASES, SETTINGS
from keepface.methods.faceme import FaceMe
from keepface.methods.pfstorer import PFStorer, star_prompt
from keepface.train.fresh import fresh_family
from keepface.train.loop import train
from keepface.train.recipe import Recipe
from keepface.train.run import make_task

from ..toy import FAMILY, METHOD, low_squares, references
from .pfstorer_toy import (
    PERSON,
    PFSTORER_METHOD,
    SHORT,
    base_batch,
    open_gamma,
    opened,
    person_batch,
    photos_of,
    restore,
)


@pytest.fixture(scope="module")
def made() -> PFStorer:
    return opened()


@pytest.fixture
def method(made: PFStorer) -> PFStorer:
    return copy.deepcopy(made)


@pytest.fixture
def led(method: PFStorer) -> PFStorer:
    """A method with a person whose blocks were let in."""
    method.begin_person(photos_of(0), "personal", seed=0)
    open_gamma(method)
    return method


# ---- the base ----


def test_the_low_picture_leads_and_its_null_is_a_latent_of_zeros(method: PFStorer) -> None:
    plain = restore(method, [None])
    *_, other = method.restore(
        1 - low_squares(1), [None], SamplerSettings(name="ddim", steps=2, start="noise"), 1.0, [0]
    )
    *_, same = method.restore(low_squares(1), [None], SamplerSettings(name="ddim", steps=2, start="noise"), 1.0, [0])
    assert not torch.allclose(same.x_t, other.x_t, atol=1e-3) and plain.shape == (1, 4, 4, 4)
    method.settings = SETTINGS["pfstorer"](**{**vars(method.settings), "null_share": 1.0})
    one = method.loss(base_batch(method), "base")["total"]
    shown = base_batch(method)
    object.__setattr__(shown, "low", 1 - shown.low)
    assert torch.equal(one, method.loss(shown, "base")["total"])  # nothing of the low pictures is left


def test_the_encoder_is_asked_at_every_step_with_the_steps_own_time(method: PFStorer) -> None:
    asked: list[int] = []
    method.time_aware.register_forward_pre_hook(lambda network, given: asked.append(int(given[1][0])))
    list(method.restore(low_squares(1), [None], SamplerSettings(steps=5), 1.0, [0]))
    assert asked == [999, 799, 599, 399, 199]  # trailing spacing


def test_the_start_is_the_low_pictures_latent_at_the_last_time_with_noise(method: PFStorer) -> None:
    seen: list[Tensor] = []
    method.family.unet.register_forward_pre_hook(lambda network, given: seen.append(given[0]))
    list(method.restore(low_squares(1), [None], SamplerSettings(name="ddim", steps=1), 1.0, [3]))
    alpha_bar, z_LQ = method.family.scheduler.alphas_cumprod[999], method.family.encode(low_squares(1))
    eps = (seen[0] - alpha_bar.sqrt() * z_LQ) / (1 - alpha_bar).sqrt()
    assert DEFAULTS["pfstorer"].start == "low" and DEFAULTS["pfstorer"].guidance == 1.0
    assert abs(float(eps.mean())) < 0.5 and 0.6 < float(eps.std()) < 1.4


def test_five_in_a_hundred_of_a_base_batch_see_no_low_picture(method: PFStorer) -> None:
    shown: list[Tensor] = []
    method.time_aware.register_forward_pre_hook(lambda network, given: shown.append(given[0].flatten(1).any(1)))
    batch = base_batch(method, 40)
    for step in range(10):
        object.__setattr__(batch, "t", torch.randint(0, 1000, (40,), generator=torch.Generator().manual_seed(step)))
        with torch.no_grad():
            method.loss(batch, "base")
    assert float(1 - torch.cat(shown).float().mean()) == pytest.approx(0.05, abs=0.03)


def test_other_methods_over_the_same_unet_are_not_disturbed(led: PFStorer) -> None:
    faceme = FaceMe.begin(led.family, METHOD, seed=0)
    keys, who = list(led.family.unet.state_dict()), [references("a")]

    def other() -> Tensor:
        *_, last = faceme.restore(low_squares(1), who, SHORT, 1.0, [0])
        return last.x_t

    before = other()
    led.trainable("personal")
    led.loss(person_batch(led), "personal")["total"].backward()
    restore(led, [PERSON])
    assert torch.equal(other(), before) and list(led.family.unet.state_dict()) == keys


# ---- the person ----


def test_a_person_just_begun_is_the_base_bit_for_bit(method: PFStorer) -> None:
    base = restore(method, [None, None])
    method.begin_person(photos_of(0), "personal", seed=0)
    assert torch.equal(restore(method, [PERSON, PERSON]), base)


def test_the_person_is_restored_without_a_photo_and_the_others_as_nobody(led: PFStorer) -> None:
    base, found = restore(led, [None, None]), restore(led, [PERSON, None])
    assert not torch.allclose(found[0], base[0], atol=1e-3)
    torch.testing.assert_close(found[1], base[1], atol=1e-5, rtol=1e-5)
    assert torch.equal(found, restore(led, [references("a", "b"), None]))  # their features are not looked at


def test_a_weight_leads_steadily_from_nobody_to_the_person(led: PFStorer) -> None:
    one_step = SamplerSettings(name="ddim", steps=1)
    at = {w: restore(led, [references("a", weights=[w])], one_step) for w in (0.0, 0.01, 0.5, 1.0)}
    away = [float((at[w] - at[0.0]).norm()) for w in (0.01, 0.5, 1.0)]
    assert 0 < away[0] < away[1] < away[2] and torch.equal(at[0.0], restore(led, [None], one_step))


def test_guidance_goes_from_the_base_past_the_person(led: PFStorer) -> None:
    one_step = SamplerSettings(name="ddim", steps=1)  # linear in the prediction
    base, person, past = (restore(led, [PERSON], one_step, guidance) for guidance in (0.0, 1.0, 2.0))
    assert torch.equal(base, restore(led, [None], one_step))
    torch.testing.assert_close(past, base + 2 * (person - base), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["unipc", "ddpm"])
def test_a_seed_gives_one_picture_whatever_the_batch(led: PFStorer, name: Any) -> None:
    settings = SamplerSettings(name=name, steps=4)
    low = low_squares(3)[1:2]
    *_, alone = led.restore(low, [PERSON], settings, 1.0, [7])
    *_, batch = led.restore(low_squares(3), [None, PERSON, PERSON], settings, 1.0, [1, 7, 3])
    torch.testing.assert_close(batch.x_t[1:2], alone.x_t, atol=1e-4, rtol=1e-4)


def test_references_go_along_clean_with_the_steps_time_and_no_low_picture_and_take_turns(led: PFStorer) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    led.family.unet.register_forward_pre_hook(lambda network, given: seen.append((given[0], given[1])))
    encoded: list[int] = []
    led.time_aware.register_forward_pre_hook(lambda network, given: encoded.append(len(given[0])))
    list(led.restore(low_squares(2), [PERSON, PERSON], SamplerSettings(steps=4), 1.0, [0, 1]))
    assert led.person is not None and encoded == [2] * 4
    for place, (rows, times) in enumerate(seen):
        assert len(rows) == 3 and torch.equal(rows[2], led.person.ref_latents[place % 3])
        assert len(set(times.tolist())) == 1


def test_references_without_anybody_loaded_are_refused_in_words(method: PFStorer) -> None:
    with pytest.raises(WeightsError, match="references are given and nobody is loaded; train a person"):
        restore(method, [references("a")])


def test_s_star_takes_the_face_words_place_and_the_base_never_sees_it(led: PFStorer) -> None:
    prompt, words = led.family.prompt, torch.ones(32)
    starred = star_prompt(prompt, words)
    assert torch.equal(starred[4], words) and torch.equal(starred[[0, 1, 2, 3, 5]], prompt.tokens[[0, 1, 2, 3, 5]])
    seen: list[Tensor] = []
    hook = led.family.unet.register_forward_pre_hook(
        lambda network, given, named: seen.append(named["encoder_hidden_states"]), with_kwargs=True
    )
    restore(led, [PERSON])
    hook.remove()
    assert all(torch.equal(item, prompt.tokens.expand(2, -1, -1)) for item in seen)


# ---- training ----


@pytest.mark.parametrize("phase", ["base", "personal", "vico", "dreambooth"])
def test_a_phase_gives_gradients_to_what_the_paper_trains_and_to_nothing_else(method: PFStorer, phase: str) -> None:
    if phase != "base":
        method.begin_person(photos_of(0), phase, seed=0)
    if phase == "personal":
        open_gamma(method)
    networks = method.trainable(phase)
    batch: Any = base_batch(method) if phase == "base" else person_batch(method, phase == "dreambooth")
    losses = method.loss(batch, phase)
    losses["total"].backward()
    trained = dict(networks.named_parameters())
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    tops = {name.split(".")[0] for name in trained}
    assert (
        tops
        == {
            "base": {"time_aware", "sft"},
            "personal": {"gamma", "blocks", "token"},
            "vico": {"blocks", "token"},
            "dreambooth": {"unet", "token"},
        }[phase]
    )
    held = {id(parameter) for parameter in trained.values()}
    everything = (method.family.unet, method.family.vae, method.time_aware, method.sft)
    others = [p for part in everything for p in part.parameters() if id(p) not in held]
    assert others and all(parameter.grad is None for parameter in others)
    if phase != "base":
        grouped = [parameter for group in method.parameter_groups() for parameter in group["params"]]
        assert sorted(map(id, grouped)) == sorted(held)


def test_at_the_first_step_only_gamma_learns_of_the_denoising(method: PFStorer) -> None:
    method.begin_person(photos_of(0), "personal", seed=0)
    networks = method.trainable("personal")
    method.loss(person_batch(method), "personal")["diffusion"].backward()
    moved = {name.split(".")[0] for name, p in networks.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert moved == {"gamma"}  # the gradient of the blocks is scaled by gamma


def test_gamma_and_the_word_have_rates_of_their_own_and_no_decay(led: PFStorer) -> None:
    gamma, blocks, words = led.parameter_groups()
    assert [group["lr"] for group in (gamma, blocks, words)] == [5e-3, 1e-4, 5e-3]
    assert [group["weight_decay"] for group in (gamma, blocks, words)] == [0.0, 0.01, 0.0]
    assert [tuple(p.shape) for p in gamma["params"]] == [(32,), (32,)]


def test_the_loss_is_eq_5_and_its_parts_are_those_of_separate_calls(led: PFStorer) -> None:
    batch = person_batch(led)
    with torch.no_grad():
        losses = led.loss(batch, "personal")
        by_hand = losses["diffusion"] + 0.1 * losses["generative"] + 5e-4 * losses["attention"]
        assert float(losses["total"]) == pytest.approx(float(by_hand), rel=1e-5)
        led._tuning = PersonalSettings(gen_weight=0.0)
        alone = led.loss(batch, "personal")
        assert "generative" not in alone
        assert float(alone["diffusion"]) == pytest.approx(float(losses["diffusion"]), rel=1e-5)
        nothing = copy.copy(batch)
        object.__setattr__(nothing, "low", 1 - batch.low)
        led._tuning = PersonalSettings()
        other = led.loss(nothing, "personal")
    assert float(other["generative"]) == pytest.approx(float(losses["generative"]), rel=1e-5)
    assert float(other["diffusion"]) != pytest.approx(float(losses["diffusion"]), rel=1e-4)


def test_with_every_gamma_shut_the_diffusion_loss_is_the_bases(method: PFStorer) -> None:
    method.begin_person(photos_of(0), "personal", seed=0)
    batch = person_batch(method)
    with torch.no_grad():
        x_t, target = noised(method.family, batch.clean, batch.eps, batch.t)
        features = method.time_aware(method.family.encode(batch.low), batch.t)
        base = denoising_loss(method._predict(method.family.unet, x_t, batch.t, features), target)
        assert float(method.loss(batch, "personal")["diffusion"]) == pytest.approx(float(base), rel=1e-5)


def test_the_word_grows_no_longer_than_it_may(led: PFStorer) -> None:
    assert led.person is not None
    word, face = led.person.token["S*"].data, float(led.family.prompt.tokens[4].norm())
    word.mul_(100)
    led.after_step()
    assert float(word.norm()) == pytest.approx(2 * face, rel=1e-5)
    kept = word.clone()
    led.after_step()
    torch.testing.assert_close(word, kept)


def test_dreambooth_tunes_a_unet_of_the_persons_own(method: PFStorer) -> None:
    method.begin_person(photos_of(0), "dreambooth", seed=0)
    method.trainable("dreambooth")
    losses = method.loss(person_batch(method, with_prior=True), "dreambooth")
    assert set(losses) == {"total", "diffusion", "prior"}
    assert float(losses["total"].detach()) == pytest.approx(
        float((losses["diffusion"] + losses["prior"]).detach()), rel=1e-5
    )
    before = restore(method, [None])
    optimiser = torch.optim.AdamW(method.parameter_groups())
    losses["total"].backward()
    optimiser.step()
    assert torch.equal(restore(method, [None]), before) and not torch.equal(restore(method, [PERSON]), before)


def test_phases_and_variants_that_can_not_be_trained_say_why(method: PFStorer) -> None:
    with pytest.raises(RecipeError, match="phase 'stage1' is unknown; use one of base, personal, vico, dreambooth"):
        method.trainable("stage1")
    with pytest.raises(RecipeError, match="phase 'personal' is tuned on one person's photos, not on a pack"):
        method.trainable("personal")
    with pytest.raises(RecipeError, match="needs batches of one person"):
        method.loss(base_batch(method), "personal")


# ---- folders and files ----


def test_it_stands_in_the_tables(method: PFStorer) -> None:
    assert METHODS["pfstorer"] is PFStorer and isinstance(PFSTORER_METHOD, SETTINGS["pfstorer"])
    assert PHASES["pfstorer"]["base"].has_low and not PHASES["pfstorer"]["base"].has_identity
    with pytest.raises(WeightsError, match="family 'tiny' has no pfstorer weights; train them: keepface train"):
        PFStorer.load(method.family)


def test_the_base_comes_back_as_it_was_saved_and_its_family_keeps_diffusers_layout(
    led: PFStorer, tmp_path: Path
) -> None:
    plain = fresh_family(FAMILY, seed=0)
    for folder, family in ((tmp_path / "led", led.family), (tmp_path / "plain", plain)):
        family.save_pretrained(folder, torch.float32)
    led.save(tmp_path / "led", torch.float32)
    own = {path.name for path in (tmp_path / "led" / "pfstorer").iterdir()}
    assert own == {"settings.json", "time_aware.safetensors", "sft.safetensors"}
    names = {path.relative_to(tmp_path / "led") for path in (tmp_path / "led").rglob("*") if path.name not in own}
    assert names - {Path("pfstorer")} == {
        path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("*")
    }
    again = PFStorer.load(Family.from_pretrained(tmp_path / "led"))
    assert torch.equal(restore(again, [None, None]), restore(led, [None, None]))
    assert PFStorer.begin(again.family, PFSTORER_METHOD, 0, goes_on=True).base_hash() == led.base_hash()
    (tmp_path / "led" / "pfstorer" / "sft.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(WeightsError, match="sft.safetensors"):
        PFStorer.load(again.family)


def test_a_recipe_trains_the_base_and_the_family_keeps_other_methods_parts(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    told = {
        "task": "pfstorer",
        "phase": "base",
        "init_from": str(tiny_family_folder),
        "optim": {"steps": 2, "batch": 2},
    }
    told |= {"run": {"validate_items": 2}, "batch": {"degradations": ["light"]}, "method": to_dict(PFSTORER_METHOD)}
    recipe = from_dict(Recipe, told, "test")
    task = make_task(recipe, Pack(toy_data / "train"), Pack(toy_data / "val"))
    folder = train(task, recipe, tmp_path / "run")
    assert (folder / "faceme").is_dir() and (tmp_path / "run" / "samples" / "000002.png").is_file()
    fresh = PFStorer.begin(Family.from_pretrained(tiny_family_folder), PFSTORER_METHOD, recipe.run.seed)
    assert PFStorer.load(Family.from_pretrained(folder)).base_hash() != fresh.base_hash()
    with pytest.raises(RecipeError, match="tuned on one person's photos"):
        make_task(replace(recipe, phase="personal"), Pack(toy_data / "train"), Pack(toy_data / "val"))


def test_an_encoder_of_other_resolutions_than_the_unets_is_refused() -> None:
    with pytest.raises(RecipeError, match="encoder has 4 resolutions and takes 4 channels; family 'tiny' has 2 and 4"):
        PFStorer.begin(fresh_family(FAMILY, seed=0), SETTINGS["pfstorer"](), seed=0)


def test_people_are_tuned_in_float32_alone(method: PFStorer) -> None:
    nn.Module.to(method.family.unet, torch.float16)
    with pytest.raises(RecipeError, match="people are tuned over one in float32"):
        method.begin_person(photos_of(0), "personal", 0)
