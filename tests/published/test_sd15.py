"""RIDFR on SD 1.5: the full published layouts without memory, and a tiny release all the way."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from keepface.diffusion.content_injection import ContentInjection
from keepface.diffusion.faceid_plus import AdapterSettings, IdentityAdapter, load_published
from keepface.diffusion.family import Family
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import WeightsError
from keepface.identity.clip import ClipVision
from keepface.methods.method import TrainBatch
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.methods.ridfr import RIDFR, RIDFRSettings
from keepface.published import sd15
from keepface.published.gather import gather
from keepface.published.networks import empty_network, fill, renamed_attention
from keepface.published.table import make

from ..toy import draw_face
from . import ldm_layout, stable_layout
from .ldm_layout import Sizes, on_meta
from .stable_release import CONTEXT, SIZE, TOWER, VECTOR, faceid_plus, older_attention, write_sd15

IDENTITY = {"recogniser_dim": VECTOR, "token_dim": TOWER["hidden_size"], "image_tokens": 17, "width": CONTEXT}
IDENTITY |= {"depth": 2, "head_dim": 16}
SMALL = [f"resolution={SIZE}", *(f"identity.{name}={value}" for name, value in IDENTITY.items())]
OURS = RIDFRSettings(identity=AdapterSettings(**IDENTITY))


# ---- the published layouts at full size; nothing has memory ----


def count(tensors: dict[str, Tensor]) -> float:
    return round(sum(tensor.numel() for tensor in tensors.values()) / 1e6, 2)


def unet_tensors() -> dict[str, Tensor]:
    sizes = Sizes(context=768, is_linear=False)
    whole = on_meta(ldm_layout.unet(sizes, "model.diffusion_model.", has_spade=False))
    return dict(convert_ldm_unet_checkpoint(whole, stable_layout.SD15))


def adapter_tensors() -> dict[str, Tensor]:
    return on_meta(stable_layout.faceid_plus(stable_layout.WIDTHS, 768, 1280, 512, depth=4, rank=128))


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    network: nn.Module = fill(empty_network(UNet2DConditionModel, stable_layout.SD15), unet_tensors(), "unet")
    return network


def test_the_published_networks_load_strictly_and_have_the_published_sizes(unet: nn.Module) -> None:
    assert count(dict(unet.state_dict())) == 859.52
    assert len(unet.attn_processors) == 32  # type: ignore[arg-type]
    vae = empty_network(AutoencoderKL, stable_layout.VAE)
    converted = convert_ldm_vae_checkpoint(on_meta(ldm_layout.vae(Sizes())), vae.config)
    named = {
        name: x.squeeze(-1).squeeze(-1) if ".attentions." in name and x.ndim == 4 else x
        for name, x in converted.items()
    }
    older = older_attention(named)
    assert "encoder.mid_block.attentions.0.query.weight" in older
    fill(vae, renamed_attention(older), "vae")
    assert count(dict(vae.state_dict())) == 83.65


def test_the_published_adapter_loads_strictly_with_its_lora_and_has_the_published_size(unet: nn.Module) -> None:
    file = adapter_tensors()
    assert count(file) == 78.26
    parts = {
        start: count({n: x for n, x in file.items() if n.startswith(start)}) for start in ("image_proj", "ip_adapter")
    }
    assert parts == {"image_proj": 33.58, "ip_adapter": 44.68}  # 3.68 + 29.91; 19.17 + 25.51
    with torch.device("meta"):
        adapter = IdentityAdapter(AdapterSettings(), unet)
    load_published(adapter, unet, file, "ip-adapter-faceid-plusv2_sd15.bin")
    lora = sum(tensor.numel() for name, tensor in file.items() if "_lora." in name)
    assert sum(p.numel() for p in adapter.parameters()) + lora == sum(tensor.numel() for tensor in file.values())


@pytest.mark.parametrize(
    "name",
    [
        "image_proj.perceiver_resampler.layers.3.0.to_kv.weight",
        "ip_adapter.31.to_v_ip.weight",
        "ip_adapter.0.to_out_lora.up.weight",
    ],
)
def test_one_missing_extra_or_misshapen_tensor_of_the_adapter_is_named(unet: nn.Module, name: str) -> None:
    with torch.device("meta"):
        adapter = IdentityAdapter(AdapterSettings(), unet)
    whole, wide = adapter_tensors(), torch.empty(2, 3, device="meta")
    own = name.replace("perceiver_resampler.", "").replace("0.to_kv", "attn.to_k").removesuffix(".weight")
    lacking = {key: tensor for key, tensor in whole.items() if key != name}
    for tensors, problem in (
        (lacking, f"missing.*{own}"),
        (whole | {f"{name}.more": wide}, "unknown.*more"),
        (whole | {name: wide}, f"of another shape.*{own}"),
    ):
        with pytest.raises(WeightsError, match=f"adapter.bin: .*{problem}"):
            load_published(adapter, unet, tensors, "adapter.bin")


def test_the_published_image_network_loads_strictly_without_the_text_tower() -> None:
    whole = on_meta(stable_layout.clip(stable_layout.CLIP_H))
    tower = sd15.image_tower(whole, stable_layout.CLIP_H, "clip-h")
    assert count(tower) == 632.08  # ViT-H/14 with its projection
    assert not any(name.startswith(("text_", "logit")) for name in tower)
    place = "vision_model.encoder.layers.31.mlp.fc2.bias"
    with pytest.raises(WeightsError, match=f"clip-h: these weights are not for CLIP's image tower: 1 missing: {place}"):
        sd15.image_tower({n: x for n, x in whole.items() if n != place}, stable_layout.CLIP_H, "clip-h")


@pytest.mark.parametrize("nested", [{}, {"projection_dim": 512}, {"projection_dim": 1024}])
def test_the_width_of_the_projection_is_the_whole_models(nested: dict[str, int], tmp_path: Path) -> None:
    inner = {name: value for name, value in stable_layout.CLIP_H.items() if name != "projection_dim"} | nested
    (tmp_path / "config.json").write_text(json.dumps({"projection_dim": 1024, "vision_config": inner}))
    config = sd15.tower_config(tmp_path)
    assert config == stable_layout.CLIP_H
    sd15.image_tower(on_meta(stable_layout.clip(stable_layout.CLIP_H)), config, "clip-h")
    (tmp_path / "config.json").write_text(json.dumps(stable_layout.CLIP_H))  # of the tower alone
    assert sd15.tower_config(tmp_path) == stable_layout.CLIP_H


def test_a_content_module_of_the_published_base_has_seven_channels_and_the_published_size() -> None:
    with torch.device("meta"):
        content = ContentInjection.begin(empty_network(UNet2DConditionModel, stable_layout.SD15), 3)
    assert tuple(content.conv_in.weight.shape) == (320, 7, 3, 3)
    # A stock ControlNet of SD 1.5 has 361.28 M, 1.09 M of them its hint encoder; three more channels make 8,640.
    assert round(sum(p.numel() for p in content.parameters()) / 1e6, 2) == round(361.279 - 1.086 + 0.00864, 2)


# ---- a tiny release, all the way ----


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd15(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def trained(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the base alone a family, and let its content module have its say, as two steps of training do."""
    made = make(gather("sd15-base", [release], "cache"), tmp_path_factory.mktemp("base") / "base", SMALL[:1])
    method = RIDFR.begin(Family.from_pretrained(made), OURS, seed=0)
    train(method, "content")
    out = tmp_path_factory.mktemp("runs") / "family"
    method.family.save_pretrained(out)
    method.save(out)
    return out


@pytest.fixture(scope="module")
def folder(release: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("families") / "sd15"
    return make(gather("sd15", [release], "cache"), out, [*SMALL, f'content="{trained.as_posix()}"'])


def train(method: RIDFR, phase: str) -> None:
    rng = torch.Generator().manual_seed(3)
    clean = torch.stack([draw_face(person, 0, SIZE) for person in range(2)])
    drawn = TrainBatch(
        clean=clean,
        low=clean.flip(3),
        recogniser=torch.randn(2, 2, VECTOR, generator=rng),
        image=torch.zeros(2, 2, 8),
        has_reference=torch.ones(2, 2, dtype=torch.bool),
        detail_px=torch.full((2,), float(SIZE)),
        eps=torch.randn(2, *method.family.latent_shape, generator=rng),
        t=torch.tensor([100, 900]),
        tokens=torch.randn(2, 2, 17, TOWER["hidden_size"], generator=rng),
    )
    parts = method.trainable(phase)
    optimiser = torch.optim.AdamW(parts.parameters(), lr=1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        method.loss(drawn, phase)["total"].backward()
        optimiser.step()
    parts.requires_grad_(False)


def picture(restorer: Restorer, person: int = 0) -> Tensor:
    squares = torch.stack([draw_face(0, 0, SIZE)])
    features = restorer.embedder.embed_square(draw_face(person, 1, 256))
    return restorer.restore_squares(squares, [[features]], RestoreSettings(steps=2, sampler="ddim"), [5])


def test_converted_loaded_trained_saved_and_loaded_again_it_restores_the_same_picture(
    folder: Path, tmp_path: Path
) -> None:
    restorer = Restorer.from_pretrained(folder, "ridfr", device="cpu")
    before = picture(restorer)
    assert before.shape == (1, 3, SIZE, SIZE) and bool(before.isfinite().all())
    assert not torch.equal(before, picture(restorer, person=2))
    method = RIDFR.load(Family.from_pretrained(folder))
    train(method, "alignment")
    after = picture(Restorer(method, restorer.embedder, restorer.judge))
    assert not torch.equal(after, before)
    method.family.save_pretrained(tmp_path / "again", torch.float32)
    method.save(tmp_path / "again", torch.float32)
    again = Restorer.from_pretrained(tmp_path / "again", "ridfr", device="cpu")
    assert torch.equal(picture(again), after) and again.embedder.settings == restorer.embedder.settings


def test_the_family_is_led_by_the_published_networks(folder: Path) -> None:
    card = json.loads((folder / "keepface.json").read_text())
    assert (card["recogniser"], card["image_encoder"]) == ("buffalo_l", "clip-h")
    embedder = Restorer.from_pretrained(folder, "ridfr", device="cpu").embedder
    features = embedder.embed_square(draw_face(0, 0, 256))
    assert features.recogniser.shape == (VECTOR,) and embedder.settings["channels"] == "rgb"
    assert features.tokens is not None and features.tokens.shape == (17, TOWER["hidden_size"])


def test_nobody_is_a_zero_vector_before_a_picture_whose_normalised_pixels_are_zero(folder: Path) -> None:
    method = RIDFR.load(Family.from_pretrained(folder))
    tower = ClipVision("clip-h", folder / "image_encoder")
    zeros = torch.zeros(1, 3, 224, 224)
    tokens = tower.network.vision_model(zeros, output_hidden_states=True).hidden_states[-2][0]
    torch.testing.assert_close(method.adapter.blank, tokens, atol=2e-3, rtol=2e-3)


def test_the_lora_is_in_the_unet_and_the_content_module_is_the_one_that_was_trained(
    release: Path, trained: Path, folder: Path
) -> None:
    plain, led = Family.from_pretrained(trained), Family.from_pretrained(folder)
    lora = faceid_plus()["ip_adapter"]
    names = list(plain.unet.attn_processors)
    for place in (0, 12, 31):
        stem = names[place].removesuffix(".processor")
        up, down = (lora[f"{place}.to_q_lora.{side}.weight"] for side in ("up", "down"))
        added = led.unet.get_submodule(stem).to_q.weight - plain.unet.get_submodule(stem).to_q.weight
        torch.testing.assert_close(added, up @ down, atol=0.02, rtol=0.01)
    assert torch.equal(led.unet.conv_in.weight, plain.unet.conv_in.weight)
    kept, given = (RIDFR.load(family).content.state_dict() for family in (led, plain))
    assert all(torch.equal(kept[name], given[name]) for name in kept)


def test_the_version_of_the_adapter_goes_by_its_file_and_without_a_content_module_it_must_be_trained(
    release: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(release, tmp_path / "downloads")
    held = tmp_path / "downloads" / "IP-Adapter-FaceID" / "ip-adapter-faceid-plusv2_sd15.bin"
    held.rename(held.with_name("ip-adapter-faceid-plus_sd15.bin"))
    made = make(gather("sd15", [tmp_path / "downloads"], "cache"), tmp_path / "sd15", SMALL)
    with pytest.raises(WeightsError, match="has no content module; train it"):
        RIDFR.load(Family.from_pretrained(made))
    begun = RIDFR.begin(Family.from_pretrained(made), OURS, seed=0)
    second = RIDFR.load(Family.from_pretrained(folder))
    assert begun.has_identity and not begun.has_content
    assert (begun.settings.identity.shortcut, second.settings.identity.shortcut) == (False, True)


def test_the_base_alone_has_an_empty_caption_and_serves_pfstorer_too(trained: Path) -> None:
    family = Family.from_pretrained(trained)
    assert family.prompt.named is not None and not torch.equal(family.prompt.tokens, family.prompt.named)
    assert family.card.recogniser == "sface"
    encoder = PFStorerSettings().encoder
    method = PFStorer.begin(family, PFStorerSettings(encoder=type(encoder)(width=32)), seed=0)
    method.begin_person(torch.stack([draw_face(1, 0, SIZE)]), "personal", seed=0)
    assert method.person is not None and method.person.token["S*"].shape == (CONTEXT,)


def test_what_does_not_fit_is_named_and_nothing_is_written(release: Path, tmp_path: Path) -> None:
    sources = gather("sd15", [release], "cache")
    with pytest.raises(WeightsError, match="there is no content module; give the folder `family` of a run"):
        make(sources, tmp_path / "sd15", [*SMALL, f'content="{tmp_path.as_posix()}"'])
    with pytest.raises(WeightsError, match="vectors have 16 values; the method's identity part takes 512"):
        make(sources, tmp_path / "sd15", SMALL[:1])
    with pytest.raises(WeightsError, match="blank"):
        make(sources, tmp_path / "sd15", [*SMALL, "identity.image_tokens=18"])
    assert list(tmp_path.iterdir()) == []


def test_the_base_sees_captions_padded_with_end_marks(release: Path, trained: Path) -> None:
    base, prompt = release / "stable-diffusion-v1-5", Family.from_pretrained(trained).prompt
    encoder, tokenizer = (
        kind.from_pretrained(base / part)
        for kind, part in ((CLIPTextModel, "text_encoder"), (CLIPTokenizer, "tokenizer"))
    )
    for caption, found in (("", prompt.tokens), ("A photo of face.", prompt.named)):
        ids = tokenizer(caption).input_ids
        with torch.no_grad():
            wanted = encoder(torch.tensor([ids + [ids[-1]] * (77 - len(ids))])).last_hidden_state[0]
        assert found is not None
        torch.testing.assert_close(found, wanted, atol=1e-2, rtol=1e-2)  # it was saved in half precision
