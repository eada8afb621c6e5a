"""PFStorer's base on SD 2.1: the full published layout without memory, and a tiny release all the way."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from keepface.diffusion.family import Family
from keepface.diffusion.personal_part import PersonalBatch
from keepface.diffusion.sampler import SamplerSettings, make_scheduler
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import WeightsError
from keepface.methods.method import References
from keepface.methods.pfstorer import PFStorer, PFStorerSettings, star_prompt
from keepface.published import sd21
from keepface.published.gather import gather
from keepface.published.table import make
from keepface.weights.pickles import read_pickle

from ..methods.pfstorer_toy import base_batch
from ..toy import draw_face
from . import ldm_layout, stable_layout
from .ldm_layout import Sizes, on_meta
from .stable_release import CONTEXT, SIZE, SIZES, stablesr, write_sd21

SMALL = [f"resolution={SIZE}", "encoder.width=64", "sft_hidden=8"]
SHORT = SamplerSettings(name="ddim", steps=2)


# ---- the published layout at full size; nothing has memory ----


def published(state: str = "") -> dict[str, Tensor]:
    return {state + name: tensor for name, tensor in on_meta(ldm_layout.checkpoint(Sizes())).items()}


@pytest.fixture(scope="module")
def networks() -> sd21.Networks:
    return sd21.empty_networks(stable_layout.SD21, stable_layout.VAE, PFStorerSettings())


@pytest.mark.parametrize("state", ["", "state_dict."])
def test_the_published_checkpoint_loads_strictly_and_has_the_published_sizes(
    networks: sd21.Networks, state: str
) -> None:
    sd21.load_checkpoint(networks, published(state), "stablesr_000117.ckpt")
    sums = [sum(p.numel() for p in network.parameters()) for network, _ in networks.tables()]
    assert [round(value / 1e6, 2) for value in sums] == [865.91, 83.65, 52.49, 53.02]
    assert sums[2:] == [52_494_080, 53_020_160] and len(networks.sft.places) == 22
    assert sum(math.prod(shape) for shape in networks.published().shapes.values()) == sum(sums)


def test_every_name_of_the_checkpoint_is_used_or_known_as_left_out(networks: sd21.Networks) -> None:
    used = networks.published().shapes.keys()
    unused = published().keys() - used
    assert used <= published().keys() and len(unused) == 13
    assert all(name.startswith(tuple(sd21.LEFT_OUT)) for name in unused)
    assert not any(name.startswith(tuple(sd21.LEFT_OUT)) for name in used)


PLACES = [
    "model.diffusion_model.output_blocks.5.2.conv.weight",
    "model.diffusion_model.input_blocks.8.0.spade.mlp_beta.bias",
    "structcond_stage_model.fea_tran.3.skip_connection.weight",
    "first_stage_model.decoder.up.0.block.0.nin_shortcut.weight",
]


@pytest.mark.parametrize("name", PLACES)
def test_one_missing_extra_or_misshapen_tensor_is_named(networks: sd21.Networks, name: str) -> None:
    whole, where = published(), "stablesr.ckpt: these weights are not for StableSR over Stable Diffusion 2.1: 1 "
    lacking = {key: tensor for key, tensor in whole.items() if key != name}
    wide = torch.empty(*whole[name].shape, 2, device="meta")
    for tensors, problem in (
        (lacking, f"missing: {name}"),
        (whole | {f"{name}.more": wide}, f"unknown: {name}.more"),
        (whole | {name: wide}, f"of another shape: {name} {tuple(wide.shape)} instead of"),
    ):
        with pytest.raises(WeightsError) as caught:
            sd21.load_checkpoint(networks, tensors, "stablesr.ckpt")
        assert where + problem in str(caught.value)


@pytest.mark.parametrize("state", ["", "state_dict."])
def test_what_official_sampling_leaves_out_does_not_keep_a_checkpoint_from_loading(
    networks: sd21.Networks, state: str
) -> None:
    beside = {
        "logvar": (1000,),
        "model_ema.decay": (),
        "model_ema.num_updates": (),
        "model_ema.diffusion_modeltime_embed0weight": (1280, 320),
    }
    extra = {state + name: torch.empty(shape, device="meta") for name, shape in beside.items()}
    sd21.load_checkpoint(networks, published(state) | extra, "other.ckpt")
    with pytest.raises(WeightsError, match="1 unknown: model_emb.decay"):
        sd21.load_checkpoint(networks, published() | {"model_emb.decay": torch.empty((), device="meta")}, "other.ckpt")


def test_a_number_of_numpys_beside_the_weights_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "stablesr_000117.ckpt"
    for number in (np.float64(0.25), np.int64(3), np.float32(1.5)):
        torch.save({"state_dict": {"a": torch.ones(2)}, "best": number}, path)
        assert list(read_pickle(path, sd21.INERT)) == ["state_dict.a"]
        with pytest.raises(WeightsError, match="refused, as it holds more than weights"):
            read_pickle(path)


def test_the_turbo_checkpoint_restores_in_four_steps_at_stablesrs_times(tmp_path: Path) -> None:
    made = make(gather("sd21", [write_sd21(tmp_path, "stablesr_turbo.ckpt")], "cache"), tmp_path / "sd21", SMALL)
    family = Family.from_pretrained(made)
    assert family.card.steps == 4 and family.scheduler.config.prediction_type == "epsilon"
    times = make_scheduler(dict(family.scheduler.config), "ddpm", 4, torch.device("cpu")).timesteps
    assert times.tolist() == [999, 666, 333, 0]  # space_timesteps(1000, [4]), backwards


# ---- a tiny release, all the way ----


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd21(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def folder(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("families") / "sd21"
    return make(gather("sd21", [release], "cache"), out, SMALL)


@pytest.fixture
def method(folder: Path) -> PFStorer:
    return PFStorer.load(Family.from_pretrained(folder))


def picture(method: PFStorer, who: References | None = None) -> Tensor:
    *_, last = method.restore(torch.stack([draw_face(0, 0, SIZE)]), [who], SHORT, 1.0, [5])
    return method.family.decode(last.x_t)


@pytest.mark.parametrize("name", ["stablesr_000117.ckpt", "face_stablesr_000050.ckpt"])
def test_converted_loaded_trained_saved_and_loaded_again_it_restores_the_same_picture(
    name: str, tmp_path: Path
) -> None:
    made = make(gather("sd21", [write_sd21(tmp_path / "downloads", name)], "cache"), tmp_path / "sd21", SMALL)
    method = PFStorer.load(Family.from_pretrained(made))
    before = picture(method)
    assert before.shape == (1, 3, SIZE, SIZE) and bool(before.isfinite().all())
    assert method.family.scheduler.config.prediction_type == ("v_prediction" if "face" in name else "epsilon")
    told = " ".join(method.family.card.history)
    assert f"converted from {name}" in told and ("CodeFormer" in told) == ("face" in name)
    parts = method.trainable("base")
    optimiser = torch.optim.AdamW(parts.parameters(), lr=1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        method.loss(batch(method), "base")["total"].backward()
        optimiser.step()
    parts.requires_grad_(False)
    after = picture(method)
    assert not torch.equal(after, before)
    method.family.save_pretrained(tmp_path / "again", torch.float32)
    method.save(tmp_path / "again", torch.float32)
    assert torch.equal(picture(PFStorer.load(Family.from_pretrained(tmp_path / "again"))), after)


def test_a_restorer_over_it_restores_without_references(folder: Path) -> None:
    restorer = Restorer.from_pretrained(folder, "pfstorer", device="cpu")
    low = torch.stack([draw_face(0, 0, SIZE)])
    found = restorer.restore_squares(low, [[]], RestoreSettings(steps=2, sampler="ddim"), [5])
    assert found.shape == (1, 3, SIZE, SIZE) and bool(found.isfinite().all())


def batch(method: PFStorer) -> object:
    made = base_batch(method, 2)
    clean = torch.stack([draw_face(person, 0, SIZE) for person in range(2)])
    return type(made)(**{**vars(made), "clean": clean, "low": clean.flip(3)})


def test_a_person_is_tuned_over_it_saved_and_loaded_to_the_same_picture(method: PFStorer, tmp_path: Path) -> None:
    photos = torch.stack([draw_face(3, photo, SIZE) for photo in range(3)])
    method.begin_person(photos, "personal", seed=0)
    nobody = picture(method, References.learned())
    optimiser = torch.optim.AdamW(method.parameter_groups())
    method.trainable("personal")
    for step in range(2):
        rng = torch.Generator().manual_seed(step)
        drawn = PersonalBatch(
            clean=photos,
            low=photos.flip(3),
            reference=torch.tensor([1, 2, 0]),
            eps=torch.randn(3, *method.family.latent_shape, generator=rng),
            t=torch.randint(0, 1000, (3,), generator=rng),
        )
        optimiser.zero_grad()
        method.loss(drawn, "personal")["total"].backward()
        optimiser.step()
        method.after_step()
    tuned = picture(method, References.learned())
    assert not torch.equal(tuned, nobody)
    method.save_adapter(tmp_path / "anna.safetensors", {}, torch.float32)
    again = PFStorer.load(method.family)
    again.load_adapter(tmp_path / "anna.safetensors")
    assert torch.equal(picture(again, References.learned()), tuned)
    again.unload_adapter()
    assert torch.equal(picture(again), nobody)  # gammas begin at zero


def test_the_base_sees_an_empty_caption_and_the_learned_word_stands_in_a_photo_of_face(
    release: Path, method: PFStorer
) -> None:
    base, prompt = release / "stable-diffusion-2-1-base", method.family.prompt
    encoder, tokenizer = (
        kind.from_pretrained(base / part)
        for kind, part in ((CLIPTextModel, "text_encoder"), (CLIPTokenizer, "tokenizer"))
    )
    for caption, found in (("", prompt.tokens), ("A photo of face.", prompt.named)):
        ids = tokenizer(caption).input_ids
        row = torch.tensor([ids + [0] * (77 - len(ids))])  # SD 2.1 pads with "!", whose number is 0
        with torch.no_grad():
            wanted = encoder(row).last_hidden_state[0]
        assert found is not None
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    star = torch.full((CONTEXT,), 9.0)
    starred, face = star_prompt(prompt, star), prompt.face_index
    assert face == 4 and torch.equal(starred[face], star) and prompt.named is not None
    assert torch.equal(starred[:face], prompt.named[:face])
    method.begin_person(torch.stack([draw_face(1, 0, SIZE)]), "personal", seed=0)
    assert method.person is not None and torch.equal(method.person.token["S*"], prompt.named[face])
    assert len(method.person.added.places) == 4  # every second of the decoder's nine transformers


def test_the_family_holds_the_checkpoints_tensors(release: Path, method: PFStorer) -> None:
    tensors = stablesr()
    conv = tensors["model.diffusion_model.output_blocks.2.1.conv.weight"]
    torch.testing.assert_close(method.family.unet.up_blocks[0].upsamplers[0].conv.weight, conv, atol=1e-3, rtol=1e-3)
    shift = tensors["model.diffusion_model.middle_block.0.spade.mlp_beta.weight"]
    layer = method.sft.layers["mid_block_resnets_0"]
    torch.testing.assert_close(layer.shift.weight, shift, atol=1e-3, rtol=1e-3)
    query = tensors["structcond_stage_model.middle_block.1.qkv.weight"].view(4, 3, 32, 128)[:, 0].reshape(128, 128)
    torch.testing.assert_close(method.time_aware.middle.attentions[0].to_q.weight, query, atol=1e-3, rtol=1e-3)
    assert SIZES.maps * SIZES.maps_mult[-1] == 128


def test_two_hundred_ddpm_steps_are_stablesrs_own(folder: Path) -> None:
    config = dict(Family.from_pretrained(folder).scheduler.config)
    times = make_scheduler(config, "ddpm", 200, torch.device("cpu")).timesteps.tolist()
    assert times[:3] == [999, 994, 989] and times[-2:] == [5, 0] and len(times) == 200
    assert make_scheduler(config, "unipc", 20, torch.device("cpu")).timesteps.tolist()[:2] == [999, 949]


def test_a_checkpoint_with_a_tensor_too_few_is_named_and_nothing_is_written(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / "downloads")
    tensors = stablesr()
    del tensors["structcond_stage_model.time_embed.2.bias"]
    torch.save({"state_dict": tensors}, tmp_path / "downloads" / "StableSR" / "stablesr_000117.ckpt")
    with pytest.raises(WeightsError, match=r"stablesr_000117.ckpt: .* 1 missing: structcond_stage_model.time_embed.2"):
        make(gather("sd21", [tmp_path / "downloads"], "cache"), tmp_path / "sd21", SMALL)
    assert [child.name for child in tmp_path.iterdir()] == ["downloads"]
