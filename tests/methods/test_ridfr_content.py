"""What RIDFR's content module is shown of the low picture: the latent, as the ablation, or all its pixels in blocks."""

from dataclasses import replace
from pathlib import Path

import torch

from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings
from keepface.methods.ridfr import RIDFR
from keepface.seeds import generator

from ..toy import low_squares
from .ridfr_toy import RIDFR_METHOD, opened, people
from .seen import Seen

ONE_STEP = SamplerSettings(name="ddim", steps=1, start="noise")


def test_the_latent_variant_takes_twice_the_channels_and_sees_the_low_pictures_latent() -> None:
    method = opened(settings=replace(RIDFR_METHOD, content="latent"))
    content, low = Seen(method.content), low_squares(2)
    list(method.restore(low, [None, people("a")], ONE_STEP, 1.0, [0, 1]))
    shown = content.calls[0]["x_t"]
    assert shown.shape == (2, 8, 4, 4) and torch.equal(shown[:, 4:], method.family.encode(low))


def test_the_block_variant_sees_every_pixel_of_the_low_picture() -> None:
    method = opened(settings=replace(RIDFR_METHOD, content="blocks"))
    content, low = Seen(method.content), low_squares(2)
    list(method.restore(low, [None, people("a")], ONE_STEP, 1.0, [0, 1]))
    shown = content.calls[0]["x_t"]
    assert shown.shape == (2, 4 + 3 * 64, 4, 4)  # 32 px on a grid of 4: blocks of 8 x 8
    place = shown[:, 4:].unflatten(1, (3, 8, 8))[:, :, :, :, 2, 1]
    torch.testing.assert_close(place, low[:, :, 16:24, 8:16] * 2 - 1)


def test_a_module_that_saw_pixels_goes_on_with_blocks_where_it_was(tmp_path: Path) -> None:
    method = opened()
    method.family.save_pretrained(tmp_path, torch.float32)
    method.save(tmp_path, torch.float32)
    blocks = RIDFR.begin(Family.from_pretrained(tmp_path), replace(RIDFR_METHOD, content="blocks"), seed=5)
    assert blocks.has_content and blocks.settings.content == "blocks"
    flat = torch.rand(2, 3, 4, 4, generator=generator(0, "flat")).repeat_interleave(8, 2).repeat_interleave(8, 3)
    pixels, x_t = (
        method._condition(flat[..., :8, :8].mean((2, 3), keepdim=True).expand_as(flat)),
        torch.randn(2, 4, 4, 4),
    )
    plain = flat[..., :8, :8].expand(2, 3, 8, 8).repeat(1, 1, 4, 4)  # one colour: its mean is its pixel
    seen = [
        made._residuals(x_t, torch.tensor([1, 999]), condition, torch.full((2,), 32.0))
        for made, condition in ((method, pixels), (blocks, blocks._condition(plain)))
    ]
    (down, middle), (down_too, middle_too) = seen
    torch.testing.assert_close(middle_too, middle, atol=1e-4, rtol=0)
    assert all(torch.allclose(one, two, atol=1e-4) for one, two in zip(down, down_too, strict=True))
    assert float(middle.abs().max()) > 1e-3
