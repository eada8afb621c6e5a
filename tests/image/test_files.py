import io
import os
import resource
import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from keepface.errors import OutputExistsError, PhotoError
from keepface.image.deep import encode_png16
from keepface.image.endings import FORMATS
from keepface.image.files import (
    Photo,
    from_uint8,
    photo_from_bytes,
    photo_from_image,
    read_photo,
    to_uint8,
    with_pixels,
    write_photo,
)
from keepface.image.tiff import encode_tiff

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = (".png", ".tif", ".tiff")
WRITTEN = tuple(FORMATS)


def noise(channels: int, bits: int = 8, height: int = 12, width: int = 17) -> torch.Tensor:
    top = 2**bits - 1
    values = np.random.default_rng(channels + bits).integers(0, top + 1, (channels, height, width))
    return torch.from_numpy(values.astype(np.float32) / np.float32(top))


def smooth(height: int = 48, width: int = 64) -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.5 - 0.3 * x * y])


def exif_of(**tags: object) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Maker", "2001:02:03 04:05:06"
    exif[0x8769] = {0x9003: "2001:02:03 04:05:06", 0xA002: 999, 0xA003: 999}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return exif.tobytes()


def test_every_8_bit_value_survives_the_way_in_and_out():
    array = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_uint8(from_uint8(array)), array)
    assert from_uint8(array).min() == 0.0
    assert from_uint8(array).max() == 1.0


def test_values_out_of_range_are_cut_and_half_steps_rounded():
    pixels = torch.tensor([-0.1, 1.1, 0.4 / 255, 0.6 / 255]).expand(3, 1, 4)
    assert to_uint8(pixels)[0, :, 0].tolist() == [0, 255, 0, 1]


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("is_grey", [False, True])
def test_a_lossless_file_gives_back_every_bit(tmp_path, suffix, bits, has_alpha, is_grey):
    pixels = noise(1, bits).expand(3, -1, -1) if is_grey else noise(3, bits)
    photo = Photo(pixels, noise(1, bits, 12, 17) if has_alpha else None, bits, is_grey)
    write_photo(photo, tmp_path / f"a{suffix}")
    back = read_photo(tmp_path / f"a{suffix}")
    seen = torch.ones(1, 12, 17) if photo.alpha is None else photo.alpha
    assert torch.equal(back.pixels * (seen > 0), photo.pixels * (seen > 0))
    assert (back.bit_depth, back.is_grey) == (bits, is_grey)
    assert (back.alpha is None) == (photo.alpha is None)
    if has_alpha:
        assert torch.equal(back.alpha, photo.alpha)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".heic", ".avif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_lossy_file_stays_within_a_few_grey_levels(tmp_path, suffix, bits):
    write_photo(Photo(smooth(), bit_depth=bits), tmp_path / f"a{suffix}")
    back = read_photo(tmp_path / f"a{suffix}")
    assert (back.pixels - smooth()).abs().max() < 8 / 255
    assert back.bit_depth == 8


def test_jpeg_keeps_the_colour_of_single_columns(tmp_path):
    stripes = torch.zeros(3, 16, 16)
    stripes[0, :, ::2], stripes[2, :, 1::2] = 1.0, 1.0
    write_photo(Photo(stripes), tmp_path / "a.jpg")
    assert (read_photo(tmp_path / "a.jpg").pixels - stripes).abs().mean() < 0.03  # subsampled chroma gives 0.25


@pytest.mark.parametrize("suffix", WRITTEN)
def test_grey_photos_stay_grey_in_one_channel_where_the_format_has_one(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_photo(Photo(smooth()[:1].expand(3, -1, -1), is_grey=True), path)
    assert read_photo(path).is_grey
    if FORMATS[suffix] == "HEIF":
        return  # Pillow alone does not read it
    with Image.open(path) as image:
        assert image.mode == ("RGB" if suffix == ".webp" else "L")


def test_a_grey_photo_that_was_given_colour_is_written_in_colour(tmp_path):
    write_photo(Photo(smooth(), is_grey=True), tmp_path / "a.png")
    assert not read_photo(tmp_path / "a.png").is_grey


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("bits", [8, 16])
def test_exif_profile_and_resolution_pass_through(tmp_path, suffix, bits):
    path = tmp_path / f"a{suffix}"
    write_photo(Photo(smooth(), bit_depth=bits, icc=SRGB, exif=exif_of(), dpi=(300.0, 300.0)), path)
    back = read_photo(path)
    assert back.icc == SRGB
    assert back.dpi == (None if FORMATS[suffix] in ("WEBP", "HEIF", "AVIF") else pytest.approx((300.0, 300.0), abs=0.1))
    exif = Image.Exif()
    exif.load(back.exif)
    assert (exif[0x010F], exif[0x0132]) == ("Maker", "2001:02:03 04:05:06")
    assert exif.get_ifd(0x8769) == {0x9003: "2001:02:03 04:05:06", 0xA002: 64, 0xA003: 48}
    assert [float(part) for part in exif.get_ifd(0x8825)[2]] == [52.0, 30.0, 0.0]


def test_a_second_pass_through_every_format_changes_no_metadata(tmp_path):
    photo = Photo(smooth(), icc=SRGB, exif=exif_of())
    tags = []
    for index, suffix in enumerate((".tif", ".jpg", ".tiff", ".png", ".webp", ".jpeg")):
        write_photo(photo, tmp_path / f"{index}{suffix}")
        photo = read_photo(tmp_path / f"{index}{suffix}")
        exif = Image.Exif()
        exif.load(photo.exif)
        tags.append((sorted(set(exif) - {0x011A, 0x011B, 0x0128}), exif.get_ifd(0x8769), exif.get_ifd(0x8825)))
    assert all(item == tags[0] for item in tags)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", "-deep.png", "-deep.tif"])
@pytest.mark.parametrize(
    ("orientation", "first", "last"),  # where the first and last pixel of the stored first row belong, by the standard
    [
        (1, "top left", "top right"),
        (2, "top right", "top left"),
        (3, "bottom right", "bottom left"),
        (4, "bottom left", "bottom right"),
        (5, "top left", "bottom left"),
        (6, "top right", "bottom right"),
        (7, "bottom right", "top right"),
        (8, "bottom left", "top left"),
    ],
)
def test_all_eight_orientations_come_out_upright_and_are_forgotten(tmp_path, suffix, orientation, first, last):
    stored = np.full((32, 64, 3), 128, np.uint8)
    stored[:16, :16], stored[:16, -16:] = (255, 0, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if suffix.startswith("-deep"):
        encode = encode_png16 if suffix == "-deep.png" else encode_tiff
        data = encode(stored.astype(np.uint16) * 257, None, exif.tobytes(), None)
    else:
        out = io.BytesIO()
        form = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF"}[suffix]
        Image.fromarray(stored).save(out, form, exif=exif)
        data = out.getvalue()
    photo = photo_from_bytes(data)
    assert photo.pixels.shape[1:] == ((32, 64) if orientation < 5 else (64, 32))
    assert photo.bit_depth == (16 if suffix.startswith("-deep") else 8)
    rows, columns = {"top": 4, "bottom": -4}, {"left": 4, "right": -4}
    for corner, colour in ((first, (1.0, 0.0, 0.0)), (last, (0.0, 0.0, 1.0))):
        row, column = corner.split()
        assert photo.pixels[:, rows[row], columns[column]].tolist() == pytest.approx(colour, abs=0.15)
    write_photo(photo, tmp_path / "back.png")
    back = read_photo(tmp_path / "back.png")
    assert torch.equal(back.pixels, photo.pixels)
    if back.exif is not None:
        again = Image.Exif()
        again.load(back.exif)
        assert again.get(0x0112, 1) == 1


def test_pillow_images_are_taken_over_with_their_orientation():
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4), (10, 20, 30)).save(out, "PNG", exif=exif)
    assert photo_from_image(Image.open(out)).pixels.shape == (3, 8, 4)
    plain = photo_from_image(Image.new("RGB", (8, 4), (10, 20, 30)), "a form")
    assert to_uint8(plain.pixels)[0, 0].tolist() == [10, 20, 30]
    assert (plain.source, plain.exif, plain.icc, plain.dpi) == ("a form", None, None, None)


def test_transparent_parts_are_laid_on_white_in_jpeg(tmp_path):
    alpha = torch.zeros(1, 32, 32)
    alpha[..., 16:] = 1.0
    write_photo(Photo(torch.full((3, 32, 32), 0.25), alpha), tmp_path / "a.jpg")
    back = read_photo(tmp_path / "a.jpg").pixels
    assert back[:, :, :12].min() > 0.98
    assert (back[:, :, 20:] - 0.25).abs().max() < 0.02


def test_a_profile_that_does_not_fit_the_channels_is_not_written(tmp_path):
    grey_icc = SRGB[:16] + b"GRAY" + SRGB[20:]
    write_photo(Photo(smooth(), icc=grey_icc), tmp_path / "colour.png")
    assert read_photo(tmp_path / "colour.png").icc is None
    grey = smooth()[:1].expand(3, -1, -1)
    write_photo(Photo(grey, is_grey=True, icc=grey_icc), tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png").icc == grey_icc
    write_photo(Photo(grey, is_grey=True, icc=SRGB), tmp_path / "rgb.png")
    assert read_photo(tmp_path / "rgb.png").icc == SRGB


def test_cmyk_goes_through_its_own_profile():
    # A press that prints the same white to black by cyan alone and takes no notice of the other inks.
    profile = cyan_only_press()
    out = io.BytesIO()
    stored = np.zeros((8, 24, 4), np.uint8)
    stored[:, 8:16, 0] = 255  # cyan: black
    stored[:, 16:, 3] = 255  # black ink: nothing
    Image.fromarray(stored, "CMYK").save(out, "TIFF", icc_profile=profile)
    photo = photo_from_bytes(out.getvalue())
    assert photo.pixels[:, 4, 4].min() > 0.98
    assert photo.pixels[:, 4, 12].max() < 0.02
    assert photo.pixels[:, 4, 20].min() > 0.98
    assert photo.icc is None


def cyan_only_press() -> bytes:
    corners = b"".join(bytes([0 if index & 8 else 255, 128, 128]) for index in range(16))
    identity = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + corners + bytes(range(256)) * 3
    white = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", 128 + 16 + len(table), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    head = head.ljust(68, b"\0") + white
    return head.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_new_pixels_keep_the_rest_and_the_transparency_follows_their_size():
    photo = Photo(smooth(), torch.full((1, 48, 64), 0.5), 16, False, SRGB, exif_of(), (72.0, 72.0), "a.png")
    other = with_pixels(photo, torch.zeros(3, 20, 30))
    assert other.alpha.shape == (1, 20, 30)
    assert torch.allclose(other.alpha, torch.tensor(0.5))
    assert (other.bit_depth, other.icc, other.exif, other.dpi, other.source) == (
        16,
        SRGB,
        photo.exif,
        (72.0, 72.0),
        "a.png",
    )
    assert torch.equal(with_pixels(photo, photo.pixels).alpha, photo.alpha)


def test_an_existing_file_is_only_replaced_by_force(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="a.png: exists already; give another name, or --force"):
        write_photo(Photo(smooth()), path)
    assert path.read_bytes() == b"mine"
    Photo(smooth()).save(path, force=True)
    assert read_photo(path).pixels.shape == (3, 48, 64)
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


def test_paths_that_cannot_be_written_are_named(tmp_path):
    photo = Photo(smooth())
    for name, text in (
        ("a.xyz", r"can't write .xyz; use .png, .jpg"),
        ("a", "can't write a file without an ending; use"),
        ("nowhere/a.png", "can't be written: there is no folder"),
    ):
        with pytest.raises(PhotoError, match=text):
            write_photo(photo, tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PhotoError, match="is a folder; give the name of a file"):
        write_photo(photo, tmp_path / "folder.png", force=True)
    assert [item.name for item in tmp_path.iterdir()] == ["folder.png"]


def test_the_longest_file_name_can_be_written(tmp_path):
    path = tmp_path / ("祖" * 83 + "ab.png")  # 255 bytes
    write_photo(Photo(smooth()), path)
    assert read_photo(path).pixels.shape == (3, 48, 64)


def test_a_side_too_long_for_the_format_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(PhotoError, match=r"a.webp: can't be written"):
        write_photo(Photo(torch.zeros(3, 1, 20_000)), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_photo(Photo(smooth()), path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(PhotoError, match="can't be written: File too large"):
            write_photo(Photo(noise(3)), path, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_written_file_has_the_permissions_of_an_ordinary_one(tmp_path):
    write_photo(Photo(smooth()), tmp_path / "a.png")
    (tmp_path / "plain").write_bytes(b"")
    assert os.stat(tmp_path / "a.png").st_mode == os.stat(tmp_path / "plain").st_mode
