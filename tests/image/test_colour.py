import torch
from torch.nn import functional

from keepface.image.colour import adain_colour_fix, is_grey, to_grey, wavelet_colour_fix


def noise(*shape: int) -> torch.Tensor:
    return 0.25 + 0.5 * torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_wavelet_fix_of_an_image_by_itself_changes_nothing():
    image = noise(2, 3, 40, 48)
    assert torch.allclose(wavelet_colour_fix(image, image), image, atol=1e-6)


def test_wavelet_fix_takes_a_colour_cast_away_and_keeps_the_detail():
    clean = noise(1, 3, 64, 64)
    cast = torch.tensor([0.1, -0.05, 0.15])[:, None, None]
    assert torch.allclose(wavelet_colour_fix(clean + cast, clean), clean, atol=1e-6)


def test_wavelet_fix_of_a_flat_restoration_is_the_photo_blurred_by_five_dilated_binomials():
    low = noise(1, 3, 50, 50)
    blurred = low
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).expand(3, 1, 3, 3) / 16
    for radius in (1, 2, 4, 8, 16):
        padded = functional.pad(blurred, (radius,) * 4, mode="replicate")
        blurred = functional.conv2d(padded, kernel, dilation=radius, groups=3)
    assert torch.allclose(wavelet_colour_fix(torch.full_like(low, 0.5), low), blurred, atol=1e-5)


def test_wavelet_fix_with_no_level_is_the_photo_itself():
    restored, low = noise(1, 3, 8, 8), noise(1, 3, 8, 8).flip(-1)
    assert torch.allclose(wavelet_colour_fix(restored, low, levels=0), low, atol=1e-6)


def test_wavelet_fix_works_on_images_smaller_than_its_widest_kernel():
    image = noise(1, 3, 5, 7)
    assert torch.allclose(wavelet_colour_fix(image, image), image, atol=1e-6)


def test_adain_fix_gives_each_channel_the_mean_and_spread_of_the_photo():
    restored, low = noise(2, 3, 64, 64), 0.4 + 0.3 * (noise(2, 3, 64, 64).flip(-1) - 0.5)
    fixed = adain_colour_fix(restored, low)
    assert torch.allclose(fixed.mean(dim=(2, 3)), low.mean(dim=(2, 3)), atol=1e-4)
    assert torch.allclose(fixed.std(dim=(2, 3)), low.std(dim=(2, 3)), atol=1e-3)


def test_adain_fix_undoes_a_change_of_brightness_and_contrast():
    clean = noise(1, 3, 32, 32)
    assert torch.allclose(adain_colour_fix(0.6 * clean + 0.2, clean), clean, atol=1e-3)


def test_colour_fixes_stay_in_range_and_treat_batch_items_alone():
    restored, low = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.ones(2, 3, 32, 32)
    low[1] = 0.0
    for fix in (wavelet_colour_fix, adain_colour_fix):
        fixed = fix(restored, low)
        assert fixed.min() >= 0.0
        assert fixed.max() <= 1.0
        assert torch.allclose(fix(restored[:1], low[:1]), fixed[:1], atol=1e-6)


def test_grey_is_told_from_colour():
    plane = noise(1, 9, 9)
    assert is_grey(plane.expand(3, -1, -1))
    tinted = plane.expand(3, -1, -1).clone()
    tinted[0, 4, 4] += 2 / 255
    assert is_grey(tinted)
    tinted[0, 4, 4] += 3 / 255
    assert not is_grey(tinted)


def test_to_grey_keeps_grey_bit_for_bit_and_weighs_colours_by_their_luma():
    grey = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2)).expand(2, 3, -1, -1)
    assert torch.equal(to_grey(grey), grey)
    pure = torch.eye(3)[:, :, None].expand(3, 3, 1).reshape(3, 3, 1, 1)
    assert torch.allclose(to_grey(pure)[:, 0].flatten(), torch.tensor([0.299, 0.587, 0.114]), atol=1e-6)
    assert is_grey(to_grey(noise(3, 5, 5)), tolerance=0.0)
