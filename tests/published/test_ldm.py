"""Tables of names against diffusers' own converters, and the encoder against latent diffusion's arithmetic."""

import math

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor
from torch.nn import functional

from keepface.diffusion.sft import SFTLayers
from keepface.diffusion.time_aware_encoder import TimeAwareEncoder, TimeAwareSettings
from keepface.published.ldm import encoder_table, layout, renamed, sft_table, unet_table, vae_table

from . import ldm_layout
from .ldm_layout import Sizes, drawn

SMALL = Sizes(
    width=32,
    mult=(1, 2, 2, 2),
    context=24,
    maps=32,
    maps_mult=(1, 1, 2, 2),
    hidden=8,
    vae_width=32,
    vae_mult=(1, 1, 2, 2),
)
SD21 = {"attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True, "cross_attention_dim": 1024}
SD15 = {"attention_head_dim": 8, "cross_attention_dim": 768}
VAE = {
    "latent_channels": 4,
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


def small_unet(is_linear: bool = True) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(32, 64, 64, 64),
        cross_attention_dim=24,
        attention_head_dim=2,
        use_linear_projection=is_linear,
    )


def small_encoder() -> TimeAwareEncoder:
    return TimeAwareEncoder(TimeAwareSettings(width=32, heads=4)).eval().requires_grad_(False)


@pytest.mark.parametrize(("config", "millions", "is_linear"), [(SD21, 865.9, True), (SD15, 859.5, False)])
def test_at_full_size_the_published_layouts_are_the_tables_and_have_the_published_parameters(
    config: dict[str, object], millions: float, is_linear: bool
) -> None:
    sizes = Sizes(context=int(str(config["cross_attention_dim"])), is_linear=is_linear)
    with torch.device("meta"):
        unet, encoder = UNet2DConditionModel(**config), TimeAwareEncoder(TimeAwareSettings())
        layers = SFTLayers(unet, 256, 128)
        vae = AutoencoderKL(**VAE, block_out_channels=(128, 256, 512, 512))
    prefix = "model.diffusion_model."
    plain, whole = ldm_layout.unet(sizes, prefix, False), ldm_layout.unet(sizes, prefix, True)
    spade = {name: shape for name, shape in whole.items() if ".spade." in name}
    assert layout(unet_table(unet)) == plain and layout(sft_table(layers, unet)) == spade
    assert layout(encoder_table(encoder)) == ldm_layout.encoder(sizes)
    assert layout(vae_table(vae)) == ldm_layout.vae(sizes)
    count = {"unet": plain, "sft": spade, "encoder": ldm_layout.encoder(sizes), "vae": ldm_layout.vae(sizes)}
    sums = {name: sum(map(math.prod, shapes.values())) for name, shapes in count.items()}
    assert round(sums["unet"] / 1e6, 1) == millions and round(sums["vae"] / 1e6, 1) == 83.7
    assert (sums["encoder"], sums["sft"]) == (52_494_080, 53_020_160)
    assert len({name.split(".spade.")[0] for name in spade}) == 22


@pytest.mark.parametrize("is_linear", [True, False])
def test_a_unet_gets_the_tensors_that_diffusers_own_converter_gives_it(is_linear: bool) -> None:
    unet = small_unet(is_linear)
    sizes = Sizes(**{**vars(SMALL), "is_linear": is_linear})
    published = drawn(ldm_layout.unet(sizes, "model.diffusion_model.", False))
    ours, theirs = renamed(unet_table(unet), published, unet), convert_ldm_unet_checkpoint(published, unet.config)
    assert ours.keys() == theirs.keys() == unet.state_dict().keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_autoencoder_gets_the_tensors_that_diffusers_own_converter_gives_it() -> None:
    vae, published = AutoencoderKL(**VAE, block_out_channels=(32, 32, 64, 64)), drawn(ldm_layout.vae(SMALL))
    ours = renamed(vae_table(vae), published, vae)
    theirs = convert_ldm_vae_checkpoint(published, vae.config)
    assert ours.keys() == theirs.keys() == vae.state_dict().keys()
    assert all(torch.equal(ours[name], theirs[name].reshape(ours[name].shape)) for name in ours)


def test_each_sft_layer_is_that_of_its_own_residual_block() -> None:
    unet = small_unet()
    layers = SFTLayers(unet, 32, 8)
    table, of_unet = sft_table(layers, unet), unet_table(unet)
    for place in layers.places:
        block = of_unet[f"{place}.norm2.bias"].name.removesuffix(".out_layers.0.bias")
        assert table[f"layers.{place.replace('.', '_')}.shift.bias"].name == f"{block}.spade.mlp_beta.bias"
    assert table["layers.down_blocks_1_resnets_0.scale.weight"].name == (
        "model.diffusion_model.input_blocks.4.0.spade.mlp_gamma.weight"
    )
    assert table["layers.mid_block_resnets_1.norm.weight"].name.endswith("middle_block.2.spade.param_free_norm.weight")
    assert ".output_blocks.10.0.spade." in table["layers.up_blocks_3_resnets_1.shared.weight"].name


# ---- the encoder, computed from the published tensors as latent diffusion does ----


class Reference:
    """The half UNet over published tensors, in plain functions."""

    def __init__(self, tensors: dict[str, Tensor], heads: int) -> None:
        self.tensors, self.heads = tensors, heads

    def __call__(self, z: Tensor, t: Tensor) -> dict[tuple[int, int], Tensor]:
        width = self.get("time_embed.0.weight").shape[1]
        rates = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
        angles = t[:, None].float() * rates
        wave = torch.cat([angles.cos(), angles.sin()], 1)
        emb = self.linear("time_embed.2", functional.silu(self.linear("time_embed.0", wave)))
        x, kept, place = self.conv("input_blocks.0.0", z), [], 1
        while f"{self.prefix}input_blocks.{place}.0.{self.first(place)}" in self.tensors:
            if self.first(place) == "op.weight":
                kept.append(x)
                x = self.conv(f"input_blocks.{place}.0.op", x, stride=2)
            else:
                x = self.block(f"input_blocks.{place}", x, emb)
            place += 1
        x = self.attend("middle_block.1", self.resblock("middle_block.0", x, emb))
        kept.append(self.resblock("middle_block.2", x, emb))
        return {tuple(x.shape[2:]): self.resblock(f"fea_tran.{i}", x, emb) for i, x in enumerate(kept)}  # type: ignore[misc]

    prefix = "structcond_stage_model."

    def get(self, name: str) -> Tensor:
        return self.tensors[self.prefix + name]

    def first(self, place: int) -> str:
        is_op = f"{self.prefix}input_blocks.{place}.0.op.weight" in self.tensors
        return "op.weight" if is_op else "in_layers.0.weight"

    def linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.get(f"{name}.weight")
        return functional.conv2d(x, weight, self.get(f"{name}.bias"), stride, padding=weight.shape[-1] // 2)

    def norm(self, name: str, x: Tensor) -> Tensor:
        return functional.group_norm(x, 32, self.get(f"{name}.weight"), self.get(f"{name}.bias"), 1e-5)

    def resblock(self, name: str, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv(f"{name}.in_layers.2", functional.silu(self.norm(f"{name}.in_layers.0", x)))
        h = h + self.linear(f"{name}.emb_layers.1", functional.silu(emb))[:, :, None, None]
        h = self.conv(f"{name}.out_layers.3", functional.silu(self.norm(f"{name}.out_layers.0", h)))
        has_map = f"{self.prefix}{name}.skip_connection.weight" in self.tensors
        return h + (self.conv(f"{name}.skip_connection", x) if has_map else x)

    def block(self, name: str, x: Tensor, emb: Tensor) -> Tensor:
        x = self.resblock(f"{name}.0", x, emb)
        return self.attend(f"{name}.1", x) if f"{self.prefix}{name}.1.qkv.weight" in self.tensors else x

    def attend(self, name: str, x: Tensor) -> Tensor:
        b, c, tall, wide = x.shape
        row = self.norm(f"{name}.norm", x.flatten(2))
        qkv = functional.conv1d(row, self.get(f"{name}.qkv.weight"), self.get(f"{name}.qkv.bias"))
        q, k, v = qkv.reshape(b * self.heads, 3 * c // self.heads, -1).split(c // self.heads, dim=1)
        shares = torch.softmax(torch.einsum("bct,bcs->bts", q, k) / math.sqrt(c / self.heads), dim=-1)
        out = torch.einsum("bts,bcs->bct", shares, v).reshape(b, c, -1)
        out = functional.conv1d(out, self.get(f"{name}.proj_out.weight"), self.get(f"{name}.proj_out.bias"))
        return x + out.view(b, c, tall, wide)


def test_the_encoder_computes_what_latent_diffusion_computes_from_the_same_file() -> None:
    encoder, published = small_encoder(), drawn(ldm_layout.encoder(SMALL))
    encoder.load_state_dict(renamed(encoder_table(encoder), published, encoder), strict=True)
    z, t = torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 871])
    ours, theirs = encoder(z, t), Reference(published, heads=4)(z, t)
    assert list(ours) == [(16, 24), (8, 12), (4, 6), (2, 3)] and ours.keys() == theirs.keys()
    for size, item in ours.items():
        torch.testing.assert_close(item, theirs[size], atol=1e-4, rtol=1e-4)
