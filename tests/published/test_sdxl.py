"""FaceMe's published files: their full layouts without memory, and a tiny release of the same structure all the way."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from keepface.data.prepare import Pack, prepare
from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings, make_scheduler
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import OutputExistsError, RecipeError, WeightsError
from keepface.identity.arcface import ArcFace
from keepface.identity.clip import ClipVision
from keepface.identity.crop_features import CropFeatures
from keepface.identity.embed import IdentityEmbedder
from keepface.methods import METHODS
from keepface.methods.faceme import FaceMeSettings, IDEncoder
from keepface.methods.method import References
from keepface.published import sdxl
from keepface.published.gather import gather
from keepface.published.networks import empty_network, fill
from keepface.published.table import make
from keepface.train.method_task import MethodTask
from keepface.train.recipe import BatchSettings, Recipe
from keepface.train.run import train_recipe
from keepface.weights.layout import Layout
from keepface.weights.store import read_safetensors, write_safetensors

from ..toy import ToyPeople, draw_face
from .sdxl_layout import CONTROLNET, UNET, VAE, mix, photomaker, stand_in
from .sdxl_release import IMAGE_DIM, RECOGNISER_DIM, SIZE, WIDTHS, write_recogniser, write_release

# ---- the published layouts at full size; nothing has memory ----


def values(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


@pytest.fixture(scope="module")
def tower() -> dict[str, Tensor]:
    return sdxl.image_tower(stand_in(photomaker()), "photomaker-v1.bin")[0]


def test_the_published_mixer_loads_strictly_with_its_38_tensors_of_39_37_million_values(
    tower: dict[str, Tensor],
) -> None:
    assert len(mix()) == 38 and round(values(mix()) / 1e6, 2) == 39.37
    encoder = sdxl.id_encoder(tower, stand_in(mix()), "mix.safetensors")
    assert encoder.settings == replace(FaceMeSettings(), trains_projections=False)
    assert sum(tensor.numel() for tensor in encoder.mix.state_dict().values()) == values(mix())
    assert [tuple(part.weight.shape) for part in encoder.projections] == [(768, 1024), (1280, 1024)]


def test_photomakers_tower_loads_without_its_fusing_part_and_its_lora(tower: dict[str, Tensor]) -> None:
    left_out = ("fuse_module", "position_ids", "lora_weights")
    wanted = {name: shape for name, shape in photomaker().items() if not any(part in name for part in left_out)}
    assert {f"id_encoder.{name}" for name in tower} == set(wanted)
    # ViT-L/14 has 303.18 M, its projection 0.79 M, the second 1.31 M.
    assert round(sum(tensor.numel() for tensor in tower.values()) / 1e6, 2) == round(303.18 + 0.79 + 1.31, 2)
    config = sdxl.tower_config(stand_in(photomaker()))
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "patch_size", "image_size")
    assert [config[name] for name in sizes] == [1024, 4096, 24, 16, 14, 224]


@pytest.mark.parametrize(
    ("kind", "config", "millions"), [(ControlNetModel, CONTROLNET, 1251.0), (UNet2DConditionModel, UNET, 2567.5)]
)
def test_sdxl_networks_load_strictly_at_full_size_without_memory(kind: type, config: dict, millions: float) -> None:
    network = empty_network(kind, config)
    shapes = dict(Layout.of(network).shapes)
    assert round(values(shapes) / 1e6, 1) == millions
    assert shapes["add_embedding.linear_1.weight"] == (1280, 2816)
    if kind is ControlNetModel:
        out = [shapes[f"controlnet_down_blocks.{place}.weight"][0] for place in range(9)]
        assert out == [320] * 4 + [640] * 3 + [1280] * 2 and shapes["controlnet_mid_block.weight"][0] == 1280
    else:
        assert len(network.attn_processors) == 140
    fill(network, stand_in(shapes), "published")
    assert all(parameter.is_meta and parameter.dtype == torch.float16 for parameter in network.parameters())


def damaged(shapes: dict[str, tuple[int, ...]], name: str, damage: str) -> dict[str, Tensor]:
    tensors = stand_in(shapes)
    if damage == "unknown":
        return tensors | {f"{name}_more": tensors[name]}
    held = tensors.pop(name)
    return tensors if damage == "missing" else tensors | {name: torch.empty(*held.shape, 2, device="meta")}


@pytest.mark.parametrize("damage", ["missing", "unknown", "of another shape"])
def test_one_missing_extra_or_misshapen_tensor_is_named(damage: str, tower: dict[str, Tensor]) -> None:
    surplus = "_more" if damage == "unknown" else ""
    with pytest.raises(WeightsError, match=f"mix.safetensors: .* not for Mix: 1 {damage}: mlp2.fc1.bias{surplus}"):
        sdxl.id_encoder(tower, damaged(mix(), "mlp2.fc1.bias", damage), "mix.safetensors")
    place = "vision_model.encoder.layers.7.mlp.fc2.bias"
    with pytest.raises(WeightsError, match=f"photomaker.bin: .* image network: 1 {damage}: {place}{surplus}"):
        sdxl.image_tower(damaged(photomaker(), f"id_encoder.{place}", damage), "photomaker.bin")
    network = empty_network(ControlNetModel, CONTROLNET)
    shapes = dict(Layout.of(network).shapes)
    with pytest.raises(WeightsError, match=f"ControlNetModel: 1 {damage}: controlnet_mid_block.bias{surplus}"):
        fill(network, damaged(shapes, "controlnet_mid_block.bias", damage), "controlnet")


# ---- a tiny release, all the way ----


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def folder(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("families") / "sdxl"
    return make(gather("sdxl", [release], "cache"), out, [f"resolution={SIZE}"])


@pytest.fixture(scope="module")
def embedder(folder: Path) -> IdentityEmbedder:
    return IdentityEmbedder.load(family=Family.from_pretrained(folder))


@pytest.fixture(scope="module")
def person(embedder: IdentityEmbedder) -> References:
    found = References.stack([embedder.embed_square(draw_face(0, photo, 256)).vectors for photo in (1, 2)])
    assert found is not None and found.recogniser.shape == (2, RECOGNISER_DIM) and found.image.shape == (2, IMAGE_DIM)
    return found


def picture(method: Any, person: References) -> Tensor:
    low = draw_face(0, 0, SIZE)[None]
    *_, last = method.restore(low, [person], SamplerSettings("ddpm", 2), 5.0, [3])
    return method.family.decode(last.x_t)


def pack(folder: Path, family: Family, first: int) -> Pack:
    return prepare(ToyPeople(3, 2, first), folder, SIZE, CropFeatures.load(family=family))


def test_converted_loaded_trained_saved_and_loaded_again_it_restores_the_same_picture(
    folder: Path, person: References, tmp_path: Path
) -> None:
    before = picture(METHODS["faceme"].load(Family.from_pretrained(folder)), person)
    family = Family.from_pretrained(folder)
    method = METHODS["faceme"].begin(family, FaceMeSettings(), 0, goes_on=True)
    assert before.shape == (1, 3, SIZE, SIZE) and torch.equal(picture(method, person), before)
    batch = BatchSettings(shift_px=1, max_references=2)
    packs = [pack(tmp_path / name, family, first) for name, first in (("train", 0), ("val", 3))]
    task = MethodTask(method, *packs, Recipe(task="faceme", phase="stage1", batch=batch))
    optimiser = torch.optim.AdamW(task.networks.parameters(), lr=1e-3)
    for step in range(2):
        optimiser.zero_grad()
        task.losses(task.batch(step, 2))["total"].backward()
        optimiser.step()
    for network in (family.vae, method.controlnet, method.id_encoder):
        network.to(memory_format=torch.contiguous_format)  # as loaded networks have it: sums in the same order
    after = picture(method, person)
    assert not torch.equal(after, before)
    family.save_pretrained(tmp_path / "again", torch.float32)
    method.save(tmp_path / "again", torch.float32)
    again = Family.from_pretrained(tmp_path / "again")
    assert again.card == family.card
    assert torch.equal(picture(METHODS["faceme"].load(again), person), after)


def test_a_run_by_recipe_exports_a_family_that_restores_by_its_own_networks(
    folder: Path, embedder: IdentityEmbedder, tmp_path: Path
) -> None:
    family = Family.from_pretrained(folder)
    for name, first in (("train", 0), ("val", 3)):
        pack(tmp_path / name, family, first)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'task = "faceme"\nphase = "stage2"\ninit_from = "{folder.as_posix()}"\n[optim]\nsteps = 2\nbatch = 2\n'
        "[run]\nvalidate_items = 1\n[batch]\nshift_px = 1\nidentity_dropout = 0.5\n"
    )
    out = train_recipe(recipe, tmp_path, tmp_path / "run")
    restorer = Restorer.from_pretrained(out, device="cpu")
    assert restorer.embedder.settings == embedder.settings and restorer.judge.name == "facenet"
    reference = restorer.embedder.embed_square(draw_face(0, 1, 256))
    settings = RestoreSettings(steps=2, sampler="ddim")
    assert bool(restorer.restore_squares(draw_face(0, 0, SIZE)[None], [[reference]], settings, [5]).isfinite().all())


def test_the_prompt_is_both_encoders_last_layer_but_one_and_the_second_ones_pooled_vector(
    release: Path, folder: Path, tmp_path: Path
) -> None:
    base, parts = release / "RealVisXL_V3.0", []
    for suffix, kind in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
        plain = tmp_path / f"encoder{suffix}"
        shutil.copytree(base / f"text_encoder{suffix}", plain)
        (plain / "model.fp16.safetensors").rename(plain / "model.safetensors")
        encoder, tokenizer = kind.from_pretrained(plain), CLIPTokenizer.from_pretrained(base / f"tokenizer{suffix}")
        ids = tokenizer("A photo of face.").input_ids
        words = tokenizer.convert_ids_to_tokens(ids)
        assert words[1:-1] == ["a</w>", "photo</w>", "of</w>", "face</w>", ".</w>"]
        row = ids + [0 if suffix else ids[-1]] * (77 - len(ids))  # "!" pads the second's, the end mark the first's
        with torch.no_grad():
            parts.append(encoder(torch.tensor([row]), output_hidden_states=True))
    prompt = Family.from_pretrained(folder).prompt
    wanted = torch.cat([part.hidden_states[-2][0] for part in parts], dim=1)
    assert prompt.tokens.shape == (77, sum(WIDTHS)) and prompt.face_index == 4
    torch.testing.assert_close(prompt.tokens, wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(prompt.pooled, parts[1].text_embeds[0], atol=1e-5, rtol=1e-4)


def test_the_family_holds_the_published_tensors_and_no_text_encoder(release: Path, folder: Path) -> None:
    method = METHODS["faceme"].load(Family.from_pretrained(folder))
    published = read_safetensors(release / "FaceMe" / "mix" / "mix.safetensors")
    for name, tensor in method.id_encoder.mix.state_dict().items():
        torch.testing.assert_close(tensor, published[name], atol=1e-3, rtol=1e-3)
    loaded = torch.load(release / "PhotoMaker" / "photomaker-v1.bin", weights_only=True)["id_encoder"]
    for place, name in enumerate(("visual_projection.weight", "visual_projection_2.weight")):
        torch.testing.assert_close(method.id_encoder.projections[place].weight, loaded[name], atol=1e-3, rtol=1e-3)
    networks = {"faceme", "image_encoder", "prompt", "recogniser", "scheduler", "unet", "vae"}
    assert {path.name for path in folder.iterdir()} == networks | {"keepface.json", "hashes.json"}


def test_the_image_features_are_photomakers_2048_in_small(folder: Path, release: Path) -> None:
    loaded = torch.load(release / "PhotoMaker" / "photomaker-v1.bin", weights_only=True)["id_encoder"]
    tower = ClipVision("photomaker-clip", folder / "image_encoder")
    image = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    encoder: IDEncoder = METHODS["faceme"].load(Family.from_pretrained(folder)).id_encoder
    pooled = tower.pooled(image)
    features = torch.cat([projection(pooled) for projection in encoder.projections], dim=-1)
    both = torch.cat([loaded["visual_projection.weight"], loaded["visual_projection_2.weight"]])
    assert pooled.shape == (2, IMAGE_DIM)
    torch.testing.assert_close(features, pooled @ both.T, atol=0.05, rtol=1e-2)


def test_the_sampled_times_are_those_of_the_release(folder: Path) -> None:
    scheduler = make_scheduler(dict(Family.from_pretrained(folder).scheduler.config), "ddpm", 50, torch.device("cpu"))
    assert scheduler.timesteps.tolist() == list(range(981, 0, -20)) and not scheduler.config.clip_sample
    assert float(scheduler.alphas_cumprod[999].sqrt()) == pytest.approx(0.0683, abs=5e-5)
    assert float(scheduler.alphas_cumprod[981].sqrt()) == pytest.approx(0.0760, abs=5e-5)


def test_training_leaves_photomakers_projections_alone(folder: Path) -> None:
    method = METHODS["faceme"].load(Family.from_pretrained(folder))
    trained = {id(parameter) for parameter in method.trainable("stage1").parameters()}
    assert not any(id(parameter) in trained for parameter in method.id_encoder.projections.parameters())
    assert all(id(parameter) in trained for parameter in method.id_encoder.mix.parameters())


def test_a_family_with_a_fresh_mixer_restores_nobody_before_its_stage_one(
    release: Path, folder: Path, tmp_path: Path
) -> None:
    out = make(gather("sdxl", [release], "cache"), tmp_path / "fresh", [f"resolution={SIZE}", "fresh_mixer=true"])
    with pytest.raises(WeightsError):
        METHODS["faceme"].load(Family.from_pretrained(out))
    begun = METHODS["faceme"].begin(Family.from_pretrained(out), FaceMeSettings(), seed=0)
    released = METHODS["faceme"].load(Family.from_pretrained(folder)).id_encoder
    assert begun.id_encoder.settings == released.settings
    fresh, learned = begun.id_encoder.state_dict(), released.state_dict()
    assert all(torch.equal(fresh[name], learned[name]) for name in fresh if name.startswith("projections."))
    assert not any(torch.equal(fresh[name], learned[name]) for name in fresh if name.endswith("fc1.weight"))


# ---- quirks ----


def test_the_quirks_of_the_release_are_on_its_card_and_each_can_be_chosen_otherwise(
    release: Path, folder: Path, tmp_path: Path
) -> None:
    card = json.loads((folder / "keepface.json").read_text())
    quirks = {"swaps_channels": True, "control_range": "signed", "square_ids": True, "photomaker_lora": False}
    assert card["quirks"] == quirks and card["guidance"] == 5.0
    other = ["swaps_channels=false", "control_range=unit", "square_ids=false", "photomaker_lora=true"]
    sources = gather("sdxl", [release], "cache")
    plain = Family.from_pretrained(make(sources, tmp_path / "other", [*other, f"resolution={SIZE}"]))
    family = Family.from_pretrained(folder)
    low, detail = torch.rand(1, 3, SIZE, SIZE), torch.tensor([20.0])
    assert torch.equal(METHODS["faceme"].load(family)._control(low), low * 2 - 1)
    assert torch.equal(METHODS["faceme"].load(plain)._control(low), low)
    assert family.added_conditions(detail)["time_ids"].tolist() == [[SIZE, SIZE, 0, 0, SIZE, SIZE]]
    assert plain.added_conditions(detail)["time_ids"].tolist() == [[20, 20, 0, 0, SIZE, SIZE]]
    assert torch.equal(family.added_conditions(detail)["text_embeds"][0], family.prompt.pooled)
    published = torch.load(release / "PhotoMaker" / "photomaker-v1.bin", weights_only=True)["lora_weights"]
    name = "mid_block.attentions.0.transformer_blocks.0.attn2"
    up, down = (published[f"unet.{name}.processor.to_out_lora.{part}.weight"] for part in ("up", "down"))
    added = plain.unet.state_dict()[f"{name}.to_out.0.weight"] - family.unet.state_dict()[f"{name}.to_out.0.weight"]
    torch.testing.assert_close(added, up @ down, atol=0.02, rtol=0.01)
    frozen = "mid_block.resnets.0.conv1.weight"
    assert torch.equal(plain.unet.state_dict()[frozen], family.unet.state_dict()[frozen])


def test_a_lora_that_fits_no_tensor_of_the_unet_is_refused() -> None:
    lora = {"lora_weights.unet.mid.attn1.processor.to_q_lora.down.weight": torch.zeros(2, 4)}
    with pytest.raises(WeightsError, match="LoRA mid.attn1.processor.to_q fits no tensor"):
        sdxl.with_lora({"mid.attn1.to_q.weight": torch.zeros(4, 4)}, lora, "photomaker")
    with pytest.raises(WeightsError, match="holds no LoRA"):
        sdxl.with_lora({"mid.attn1.to_q.weight": torch.zeros(4, 4)}, {}, "photomaker")


# ---- what can't be made ----


def test_a_family_is_there_whole_or_not_at_all(release: Path, folder: Path, tmp_path: Path) -> None:
    sources = gather("sdxl", [release], "cache")
    with pytest.raises(OutputExistsError, match="is there already; use --force"):
        make(sources, folder)
    with pytest.raises(RecipeError, match="settings of sdxl: unknown key 'swap_channels'; did you mean"):
        make(sources, tmp_path / "sdxl", ["swap_channels=false"])
    with pytest.raises(WeightsError, match="'A portrait.' must hold 'face' once"):
        make(sources, tmp_path / "sdxl", ["caption=A portrait."])
    assert list(tmp_path.iterdir()) == []


def test_a_recogniser_of_another_width_does_not_fit_the_mixer(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / "downloads")
    write_recogniser(tmp_path / "downloads" / "antelopev2" / "glintr100.onnx", RECOGNISER_DIM + 1)
    with pytest.raises(WeightsError, match="vectors have 17 values; the method's identity part takes 16"):
        make(gather("sdxl", [tmp_path / "downloads"], "cache"), tmp_path / "sdxl")


def test_a_mixer_with_a_tensor_too_few_is_named_and_nothing_is_written(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / "downloads")
    path = tmp_path / "downloads" / "FaceMe" / "mix" / "mix.safetensors"
    tensors = read_safetensors(path)
    del tensors["norm1.bias"]
    write_safetensors(tensors, path, {})
    with pytest.raises(WeightsError, match="mix.safetensors: these weights are not for Mix: 1 missing: norm1.bias"):
        make(gather("sdxl", [tmp_path / "downloads"], "cache"), tmp_path / "sdxl")
    assert [child.name for child in tmp_path.iterdir()] == ["downloads"]


def test_the_swap_of_channels_is_what_the_card_says(folder: Path, embedder: IdentityEmbedder) -> None:
    assert isinstance(embedder.recogniser, ArcFace) and embedder.settings["channels"] == "bgr"
    plain = ArcFace("antelopev2", folder / "recogniser")
    image = draw_face(0, 0, 256)
    face = embedder.embed_square(image).face
    torch.testing.assert_close(embedder.recogniser.embed(image, face), plain.embed(image.flip(0), face))
    assert not torch.allclose(embedder.recogniser.embed(image, face), plain.embed(image, face), atol=1e-3)


# ---- the user's page ----


def test_the_page_counts_parameters_as_the_networks_do(tower: dict[str, Tensor]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "families" / "sdxl.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:4] for line in page.splitlines() if " M |" in line]
    told = {name.strip().split()[0]: float(count.strip(" M").replace(",", "")) for name, count, _ in rows}
    unet, controlnet = empty_network(UNet2DConditionModel, UNET), empty_network(ControlNetModel, CONTROLNET)
    image = {name: tensor for name, tensor in tower.items() if name != "visual_projection_2.weight"}
    encoder = sdxl.id_encoder(tower, stand_in(mix()), "mix.safetensors")
    counted = {
        "UNet": Layout.of(unet).size,
        "ControlNet": Layout.of(controlnet).size,
        "identity": Layout.of(encoder).size,
        "PhotoMaker's": sum(tensor.numel() for tensor in image.values()),
        "autoencoder": Layout.of(empty_network(AutoencoderKL, VAE)).size,
    }
    for name, count in counted.items():
        assert told[name] == round(count / 1e6, 1), name
    bytes_ = 2 * (counted["UNet"] + counted["ControlNet"] + counted["identity"]) + 4 * counted["autoencoder"]
    assert f"{bytes_ / 1e9:.1f} GB of weights in half precision" in page
