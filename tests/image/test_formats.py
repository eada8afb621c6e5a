"""What files hold beside one picture: pages, smaller copies, a sensor's mosaic, an end that is missing."""

import io
import struct
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from PIL import Image

from keepface.errors import PhotoError, TooLargeError
from keepface.image import exif, limits
from keepface.image.endings import FORMATS as WRITTEN
from keepface.image.files import Photo, encode_photo, photo_from_bytes, to_uint8
from keepface.image.formats import FORMATS, format_of
from keepface.image.hidden import without_hidden
from keepface.image.limits import Limits

RED, GREEN = (200, 40, 30), (30, 160, 60)


def saved(form: str, *others: Image.Image, colour: tuple[int, int, int] = RED, **options: object) -> bytes:
    out = io.BytesIO()
    more = {"save_all": True, "append_images": list(others)} if others else {}
    Image.new("RGB", (32, 24), colour).save(out, form, **more, **options)
    return out.getvalue()


def page(size: tuple[int, int] = (32, 24)) -> Image.Image:
    return Image.new("RGB", size, GREEN)


@pytest.mark.parametrize("form", sorted(set(WRITTEN.values())))
def test_every_format_that_is_written_is_known_by_its_first_bytes(form: str) -> None:
    assert format_of(encode_photo(Photo(torch.rand(3, 24, 32)), form)) == form
    assert set(WRITTEN.values()) < set(FORMATS) < set(limits.FORMATS)


@pytest.mark.parametrize(
    ("form", "options"),
    [("TIFF", {}), ("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 100}), ("MPO", {})],
)
def test_of_several_pictures_the_first_is_taken_and_that_is_said(form: str, options: dict[str, object]) -> None:
    photo = photo_from_bytes(saved(form, page(), page(), **options))
    assert np.abs(to_uint8(photo.pixels)[0, 0].astype(int) - RED).max() <= 4
    assert photo.notes == ("3 pictures are in the file, and the first was taken",) or form in ("GIF", "PNG", "WEBP")
    assert len(photo.notes) == 1  # frames that are the same may be one
    assert photo_from_bytes(saved("JPEG" if form == "MPO" else form, **options)).notes == ()


def test_a_gain_map_behind_a_photo_is_no_second_picture() -> None:
    assert photo_from_bytes(saved("MPO", page((16, 12)))).notes == ()


def tiff(tags: Mapping[int, exif.Entry], strip: bytes, below: Mapping[int, exif.Entry] | None = None) -> bytes:
    """Write a TIFF whose one picture, or whose second one in a sub-directory, has the strip."""
    start = 8
    entries = dict(tags)
    inner = {} if below is None else {330: below}
    length = len(exif.directories("<", entries, inner))
    strips = {273: exif.of_numbers("<", exif.LONG, start + length), 279: exif.of_numbers("<", exif.LONG, len(strip))}
    if below is None:
        entries |= strips
    else:
        inner = {330: {**below, **strips}}
    return exif.mark("<") + exif.directories("<", entries, inner) + strip


def sized(width: int, height: int, subfile: int, photometric: int, bits: int, channels: int) -> dict[int, exif.Entry]:
    short, long = exif.SHORT, exif.LONG
    values = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 273: 0, 279: 0, 284: 1}
    tags = {tag: exif.of_numbers("<", long, value) for tag, value in values.items()}
    return tags | {254: exif.of_numbers("<", long, subfile), 258: exif.of_numbers("<", short, *([bits] * channels))}


TO_SRGB = (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)  # of XYZ, times 10,000 [IEC 61966-2-1]


def dng(width: int = 64, height: int = 48) -> bytes:
    """Draw a DNG: a preview of 4 by 4 pixels first, and the mosaic of an orange wall in a sub-directory."""
    preview = sized(4, 4, 1, 2, 8, 3)
    ascii_ = exif.ASCII
    preview |= {
        271: exif.Entry(ascii_, 5, b"Acme\0"),
        272: exif.Entry(ascii_, 5, b"M 10\0"),
        315: exif.Entry(ascii_, 8, "Jürgen".encode() + b"\0"),
        274: exif.of_numbers("<", exif.SHORT, 6),
        50706: exif.Entry(1, 4, bytes([1, 4, 0, 0])),
        50708: exif.Entry(ascii_, 10, b"Acme M 10\0"),
        50721: exif.Entry(10, 9, struct.pack("<18i", *(part for value in TO_SRGB for part in (value, 10_000)))),
        50728: exif.of_numbers("<", exif.RATIONAL, 1, 1, 1, 1, 1, 1),
        50778: exif.of_numbers("<", exif.SHORT, 21),
    }
    mosaic = sized(width, height, 0, 32803, 16, 1) | {
        33421: exif.of_numbers("<", exif.SHORT, 2, 2),
        33422: exif.Entry(1, 4, bytes([0, 1, 1, 2])),
        50714: exif.of_numbers("<", exif.SHORT, 0),
        50717: exif.of_numbers("<", exif.SHORT, 65535),
    }
    values = np.empty((height, width), "<u2")
    values[::2, ::2], values[1::2, 1::2], values[::2, 1::2], values[1::2, ::2] = 50_000, 5_000, 20_000, 20_000
    return tiff(preview, values.tobytes(), mosaic)


def test_a_cameras_raw_file_is_refused_by_name_where_nothing_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for data in (dng(), b"\0\0\0\x18ftypcrx " + bytes(99), b"FUJIFILMCCD-RAW " + bytes(99), b"IIU\0" + bytes(99)):
        with pytest.raises(PhotoError, match=r"camera's raw file; pip install 'keepface\[raw\]' reads it at full size"):
            photo_from_bytes(data)


def test_a_cameras_raw_file_is_developed_at_full_size_and_upright() -> None:
    pytest.importorskip("rawpy", reason="rawpy is not installed: pip install 'keepface[raw]'")
    photo = photo_from_bytes(dng())
    assert photo.pixels.shape == (3, 64, 48) and photo.bit_depth == 16  # turned by its orientation, no preview
    red, green, blue = photo.pixels[:, 8:-8, 8:-8].mean(dim=(1, 2)).tolist()
    assert red > green > blue
    said = exif.from_bytes(photo.exif or b"")
    assert said is not None and said.main[315].data == "Jürgen".encode() + b"\0" and said.orientation == 1
    assert not any(tag >= 50706 for tag in said.main)
    with pytest.raises(TooLargeError, match="64 x 48|48 x 64"):
        photo_from_bytes(dng(), limits=Limits(max_pixels=1000))


def test_a_smaller_copy_before_the_picture_is_passed_over() -> None:
    out = io.BytesIO()
    small = Image.new("RGB", (8, 6), RED)
    small.save(out, "TIFF", save_all=True, append_images=[page((64, 48))])
    data = bytearray(out.getvalue())
    assert photo_from_bytes(bytes(data)).pixels.shape == (3, 6, 8)
    at = data.index(struct.pack("<H", 284))  # PlanarConfiguration of the first page, which may be left out
    (count,) = struct.unpack("<H", data[8:10])
    rows = [bytes(data[place : place + 12]) for place in range(10, 10 + 12 * count, 12)]
    assert data[at : at + 12] in rows
    kept = [row for row in rows if row[:2] != struct.pack("<H", 284)]
    data[10 : 10 + 12 * count] = b"".join([struct.pack("<HHII", 254, 4, 1, 1), *kept])
    photo = photo_from_bytes(bytes(data))
    assert photo.pixels.shape == (3, 48, 64) and to_uint8(photo.pixels)[0, 0].tolist() == list(GREEN)
    assert photo.notes == ()


def test_a_tiff_of_nothing_but_a_smaller_copy_is_refused() -> None:
    alone = tiff(sized(4, 4, 1, 2, 8, 3), bytes(48))
    with pytest.raises(PhotoError, match="smaller copies of one that is not there"):
        photo_from_bytes(alone)
    assert photo_from_bytes(tiff(sized(4, 4, 0, 2, 8, 3), bytes(48))).pixels.shape == (3, 4, 4)


def noisy_jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    array = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    Image.fromarray(array).save(out, "JPEG", **options)
    return out.getvalue()


def test_a_jpeg_that_is_cut_short_is_read_as_far_as_it_goes_when_asked() -> None:
    whole = noisy_jpeg()
    cut = whole[: len(whole) // 2]
    with pytest.raises(PhotoError, match="cut short: .*--allow-truncated reads a JPEG as far as it goes"):
        photo_from_bytes(cut)
    photo = photo_from_bytes(cut, limits=Limits(allow_truncated=True))
    assert photo.pixels.shape == (3, 96, 64)
    rows = (photo.pixels == photo_from_bytes(whole).pixels).flatten(1).all(dim=0).reshape(96, 64).all(dim=1)
    there = int(rows.long().cumprod(0).sum())
    assert 30 <= there <= 56  # half the bytes are about half the rows, and those are right
    (note,) = photo.notes
    missing = int(note.split("about ")[1].split(" %")[0])
    assert abs(missing - (96 - there) / 0.96) <= 20  # a block of 16 rows may be half there
    assert photo_from_bytes(whole, limits=Limits(allow_truncated=True)).notes == ()


def test_only_what_has_a_start_is_read_as_far_as_it_goes() -> None:
    for data in (noisy_jpeg()[:20], saved("PNG")[:60]):
        with pytest.raises(PhotoError, match="damaged or cut short"):
            photo_from_bytes(data, limits=Limits(allow_truncated=True))


def test_the_usual_limit_follows_from_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, most in ((16_000_000_000, 160_000_000), (None, 640_000_000), (10**12, 640_000_000)):
        monkeypatch.setattr(limits, "memory_bytes", lambda memory=memory: memory)
        Limits().check(most // 1000, 1000, "a.png")
        with pytest.raises(TooLargeError, match=rf"the limit is {most // 10**6}"):
            Limits().check(most // 1000 + 1, 1000, "a.png")
    Limits(max_pixels=10**9).check(30_000, 30_000, "a.png")  # whoever gives a number is taken at their word


def test_this_machine_says_how_much_memory_it_has() -> None:
    memory = limits.memory_bytes()
    assert memory is not None and 2**28 < memory < 2**50


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_a_picture_beyond_pillows_own_limit_is_read(form: str) -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 9_100), 1).save(out, form)  # 182 megapixels, a bit each
    with pytest.raises(TooLargeError, match="182.0 megapixels; the limit is 100"):
        photo_from_bytes(out.getvalue(), limits=Limits(max_pixels=100_000_000))
    image = FORMATS[form].open(io.BytesIO(out.getvalue()))
    image.load()
    assert image.size == (20_000, 9_100) and image.getpixel((19_999, 9_099)) in (1, 255)


def test_what_nobody_sees_gets_the_colours_around_it_and_what_is_seen_stays() -> None:
    pixels, alpha = torch.rand(3, 37, 53), torch.zeros(1, 37, 53)
    alpha[:, 10:20, 5:30], pixels[:, 10:20, 5:30] = 1.0, torch.tensor([0.8, 0.6, 0.4])[:, None, None]
    alpha[:, 25, 40], pixels[:, 25, 40] = 1 / 255, torch.tensor([0.8, 0.6, 0.4])
    filled = without_hidden(pixels, alpha)
    assert torch.allclose(filled, torch.tensor([0.8, 0.6, 0.4])[:, None, None].expand(3, 37, 53), atol=1e-6)
    other = without_hidden(torch.where(alpha > 0, pixels, torch.rand(3, 37, 53)), alpha)
    assert torch.equal(other, filled)  # what stood there makes no difference
    assert torch.equal(without_hidden(pixels, torch.ones(1, 37, 53)), pixels)
    assert torch.equal(without_hidden(pixels, torch.zeros(1, 37, 53)), pixels)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_cut_out_is_the_same_whatever_lies_beneath(form: str, bits: int) -> None:
    alpha = torch.zeros(1, 32, 32)
    alpha[:, 8:24, 8:24] = 1.0
    face = torch.full((3, 32, 32), 0.6)
    read = []
    for beneath in (0.0, 0.5, 1.0):
        photo = Photo(torch.where(alpha > 0, face, torch.tensor(beneath)), alpha, bits)
        read.append(photo_from_bytes(encode_photo(photo, form)))
    assert all((photo.pixels - 0.6).abs().max() < 0.03 and photo.alpha is not None for photo in read)
    if form != "WEBP":
        assert torch.equal(read[0].pixels, read[1].pixels) and torch.equal(read[0].pixels, read[2].pixels)


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
def test_a_phones_photo_that_is_stored_turned_comes_out_upright_with_its_texts(form: str) -> None:
    stored = np.full((48, 64, 3), 128, np.uint8)
    stored[:24, :24] = RED  # of a photo to be turned clockwise: its top right
    image = Image.fromarray(stored)
    text = exif.Entry(exif.ASCII, 7, "Müller".encode())
    main = {exif.ORIENTATION: exif.of_numbers("<", exif.SHORT, 6), 315: text}
    data = exif.to_bytes(exif.Exif("<", main))
    out = io.BytesIO()
    if form == "AVIF":
        image.save(out, "AVIF", quality=100, exif=data)
    else:
        import pillow_heif

        phone = pillow_heif.from_pillow(image)
        phone.info["exif"] = data  # from which it takes how the picture is turned
        phone.save(out, quality=100, chroma=444)
    photo = photo_from_bytes(out.getvalue())
    assert photo.pixels.shape == (3, 64, 48)
    assert np.abs(to_uint8(photo.pixels)[8, -8].astype(int) - RED).max() <= 12
    assert np.abs(to_uint8(photo.pixels)[-8, -8].astype(int) - 128).max() <= 12
    again = photo_from_bytes(encode_photo(photo, form))
    assert torch.allclose(again.pixels, photo.pixels, atol=0.1) and again.pixels.shape == photo.pixels.shape
    if form == "HEIF":  # Pillow itself writes the texts of an AVIF that says its orientation anew
        said = exif.from_bytes(again.exif or b"")
        assert said is not None and said.main[315] == text
