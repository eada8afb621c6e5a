"""The published layout: names, sizes, and LoRA against plain matrix arithmetic; diffusers' converter is the judge."""

from collections.abc import Iterator

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from keepface.diffusion.faceid_plus import (
    AdapterSettings,
    FaceIDProjection,
    IdentityAdapter,
    load_published,
    lora_shapes,
)
from keepface.errors import RecipeError, WeightsError

WIDTH, TOKENS, VECTOR, RANK = 64, 24, 20, 3  # diffusers' converter knows heads of 64 only
SETTINGS = AdapterSettings(
    recogniser_dim=VECTOR, token_dim=TOKENS, image_tokens=5, width=WIDTH, depth=4, head_dim=64, shortcut=False
)
SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64}


@pytest.fixture
def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DConditionModel(
            sample_size=4,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
            norm_num_groups=8,
        ).requires_grad_(False)


def projection_shapes(s: AdapterSettings) -> dict[str, tuple[int, ...]]:
    """Write down the published names and shapes from the description of the file."""
    hidden, width = 2 * s.recogniser_dim, s.width
    shapes: dict[str, tuple[int, ...]] = {
        "proj.0.weight": (hidden, s.recogniser_dim),
        "proj.0.bias": (hidden,),
        "proj.2.weight": (s.num_tokens * width, hidden),
        "proj.2.bias": (s.num_tokens * width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    inside: dict[str, tuple[int, ...]] = {
        "proj_in.weight": (width, s.token_dim),
        "proj_in.bias": (width,),
        "proj_out.weight": (width, width),
        "proj_out.bias": (width,),
        "norm_out.weight": (width,),
        "norm_out.bias": (width,),
    }
    for layer in range(s.depth):
        norms = {f"layers.{layer}.{part}": (width,) for part in ("0.norm1.weight", "0.norm1.bias", "0.norm2.weight")}
        norms |= {f"layers.{layer}.{part}": (width,) for part in ("0.norm2.bias", "1.0.weight", "1.0.bias")}
        inside |= norms
        inside |= {
            f"layers.{layer}.0.to_q.weight": (width, width),
            f"layers.{layer}.0.to_kv.weight": (2 * width, width),
        }
        inside |= {f"layers.{layer}.0.to_out.weight": (width, width)}
        inside |= {f"layers.{layer}.1.1.weight": (4 * width, width), f"layers.{layer}.1.3.weight": (width, 4 * width)}
    return shapes | {f"perceiver_resampler.{name}": shape for name, shape in inside.items()}


def draws() -> Iterator[torch.Generator]:
    return iter(torch.Generator().manual_seed(seed) for seed in range(10_000))


def published(unet: nn.Module, has_lora: bool = True) -> dict[str, Tensor]:
    """Make a stand-in of the published file for a small UNet, flat as in safetensors."""
    shapes = {f"image_proj.{name}": shape for name, shape in projection_shapes(SETTINGS).items()}
    for place, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            width = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
            shapes |= {f"ip_adapter.{place}.to_{part}_ip.weight": (width, WIDTH) for part in "kv"}
    shapes |= lora_shapes(unet, RANK) if has_lora else {}
    return {
        name: 0.2 * torch.randn(shape, generator=g) for (name, shape), g in zip(shapes.items(), draws(), strict=False)
    }


def test_the_published_sizes_are_those_of_the_published_file() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
        adapter = IdentityAdapter(AdapterSettings(), unet)
    counts = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in adapter.named_children()}
    lora = lora_shapes(unet, 128)
    low_rank = sum(a * b for a, b in lora.values()) / 1e6
    queries = (
        sum(p.numel() for p in (*adapter.image_proj.proj.parameters(), *adapter.image_proj.norm.parameters())) / 1e6
    )
    assert [round(value, 2) for value in (queries, counts["image_proj"] - queries)] == [3.68, 29.91]
    assert [round(value, 2) for value in (counts["ip_adapter"], low_rank)] == [19.17, 25.51]
    assert round(sum(counts.values()) + low_rank, 2) == 78.26
    assert list(adapter.ip_adapter) == [str(place) for place in range(1, 32, 2)]  # 16 layers, counted as published
    assert len(lora) == 32 * 4 * 2
    assert sum(torch.Size(shape).numel() for shape in projection_shapes(AdapterSettings()).values()) == sum(
        p.numel() for p in adapter.image_proj.parameters()
    )


def test_a_published_file_projects_as_diffusers_converter_makes_it(unet: UNet2DConditionModel) -> None:
    file, adapter = published(unet, has_lora=False), IdentityAdapter(SETTINGS, unet)
    load_published(adapter, unet, file, "file")
    state = {name.removeprefix("image_proj."): x for name, x in file.items() if name.startswith("image_proj.")}
    theirs = unet._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    vector, tokens = torch.randn(3, VECTOR), torch.randn(3, 5, TOKENS)
    theirs.clip_embeds = tokens[:, None]
    with torch.no_grad():
        torch.testing.assert_close(adapter(vector, tokens), theirs(vector), atol=1e-5, rtol=1e-5)
    for place, keys in adapter.ip_adapter.items():
        assert torch.equal(keys.to_k_ip.weight, file[f"ip_adapter.{place}.to_k_ip.weight"])
        assert torch.equal(keys.to_v_ip.weight, file[f"ip_adapter.{place}.to_v_ip.weight"])


def test_the_lora_is_added_to_every_attention_weight(unet: UNet2DConditionModel) -> None:
    file, layers = published(unet), [name.removesuffix(".processor") for name in unet.attn_processors]
    before = {name: {n: p.clone() for n, p in unet.get_submodule(name).named_parameters()} for name in layers}
    nested: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in file.items():
        head, _, rest = name.partition(".")
        nested[head][rest] = tensor
    load_published(IdentityAdapter(SETTINGS, unet), unet, nested, "file")
    for place, name in enumerate(layers):
        now = dict(unet.get_submodule(name).named_parameters())
        for part, own in (("to_q", "to_q"), ("to_k", "to_k"), ("to_v", "to_v"), ("to_out", "to_out.0")):
            up, down = (file[f"ip_adapter.{place}.{part}_lora.{side}.weight"] for side in ("up", "down"))
            old, y = before[name][f"{own}.weight"], torch.randn(2, 7, down.shape[1])
            apart = y @ old.T + (y @ down.T) @ up.T  # the low-rank branch beside the layer, as it was trained
            torch.testing.assert_close(y @ now[f"{own}.weight"].T, apart, atol=1e-5, rtol=1e-5)
        assert torch.equal(now["to_out.0.bias"], before[name]["to_out.0.bias"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("image_proj.norm.weight", "missing: image_proj.norm.weight"),
        ("ip_adapter.1.to_k_ip.weight", "missing: ip_adapter.1.to_k_ip.weight"),
        (
            "ip_adapter.0.to_q_lora.up.weight",
            "its LoRA is not for this UNet: 1 missing, first ip_adapter.0.to_q_lora.up",
        ),
        ("+ip_adapter.99.to_q_lora.up.weight", "1 unknown, first ip_adapter.99.to_q_lora.up.weight"),
        ("+image_proj.latents", "unknown: image_proj.latents"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_changed(
    unet: UNet2DConditionModel, change: str, message: str
) -> None:
    file, adapter = published(unet), IdentityAdapter(SETTINGS, unet)
    if change.startswith("+"):
        file[change[1:]] = torch.zeros(2, RANK)
    else:
        del file[change]
    kept = {name: tensor.clone() for name, tensor in (unet.state_dict() | adapter.state_dict()).items()}
    with pytest.raises(WeightsError, match=message):
        load_published(adapter, unet, file, "file")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in (unet.state_dict() | adapter.state_dict()).items())


def test_the_shortcut_adds_the_query_to_what_it_drew() -> None:
    settings = {
        "embed_dims": 32,
        "output_dims": 32,
        "hidden_dims": 8,
        "id_embeddings_dim": 6,
        "heads": 2,
        "dim_head": 16,
    }
    project = FaceIDProjection(**settings, depth=1).requires_grad_(False)
    vector, tokens = torch.randn(2, 6), torch.randn(2, 5, 8)
    drawn = project(vector, tokens)
    project.shortcut, project.shortcut_scale = True, 0.5
    query = project.norm(project.proj(vector).view(2, 4, 32))
    torch.testing.assert_close(project(vector, tokens), query + 0.5 * drawn)


def test_nobody_is_a_zero_vector_before_an_empty_picture(unet: UNet2DConditionModel) -> None:
    adapter, blank = IdentityAdapter(SETTINGS, unet).requires_grad_(False), torch.randn(5, TOKENS)
    load_published(adapter, unet, published(unet), "file", blank)
    torch.testing.assert_close(adapter.null(), adapter(torch.zeros(2, VECTOR), blank.expand(2, -1, -1))[1])


def test_a_width_that_no_whole_number_of_heads_fills_is_refused() -> None:
    with pytest.raises(RecipeError, match="width is 100; it must be a multiple of head_dim 64"):
        AdapterSettings(width=100)
