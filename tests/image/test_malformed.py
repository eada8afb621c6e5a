"""More than fifty odd files and the promised answer to each: a clear error, or the right picture."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keepface.errors import PhotoError, TooLargeError
from keepface.image.files import encode_photo, photo_from_bytes, photo_from_image, read_photo
from keepface.image.limits import Limits
from keepface.image.tiff import encode_tiff

RED, GREEN = (200, 40, 30), (30, 160, 60)


@dataclass(frozen=True)
class Refusal:
    text: str
    kind: type[PhotoError] = PhotoError


@dataclass(frozen=True)
class Answer:
    size: tuple[int, int] = (24, 32)  # height, width
    colour: tuple[int, int, int] = RED  # of the pixel at the top left
    bit_depth: int = 8
    is_grey: bool = False
    has_alpha: bool = False
    tolerance: int = 1


def picture(mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> Image.Image:
    return Image.new("RGB", size, RED).convert(mode)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def noisy() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def half(form: str, **options: object) -> bytes:
    data = saved(noisy(), form, **options)
    return data[: len(data) // 2]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, kind: int, rows: bytes | None, before: bytes = b"") -> bytes:
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    body = b"" if rows is None else chunk(b"IDAT", zlib.compress(rows))
    return head + before + body + chunk(b"IEND", b"")


def deep_png(kind: int, *values: int) -> bytes:
    row = b"\0" + struct.pack(f">{len(values)}H", *values) * 32
    return png(32, 24, 16, kind, row * 24)


def deep_tiff() -> bytes:
    return encode_tiff(np.full((24, 32, 3), RED, np.uint16) * 257, None, None, None)


def jpeg_sized(width: int, height: int) -> bytes:
    data = bytearray(saved(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def oriented(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return saved(picture(), "PNG", exif=exif)


def heic() -> bytes:
    return encode_photo(photo_from_image(noisy()), "HEIF")


def with_transparent_key(mode: str) -> bytes:
    image = picture(mode)
    return saved(image, "PNG", transparency=image.getpixel((0, 0)))


def palette_with_alpha() -> bytes:
    return saved(picture().quantize(4), "PNG", transparency=bytes([128, 255, 255, 255]))


def frames(form: str, **options: object) -> bytes:
    return saved(picture(), form, save_all=True, append_images=[Image.new("RGB", (32, 24), GREEN)], **options)


def corrupt_data() -> bytes:
    data = bytearray(saved(noisy(), "PNG"))
    at = data.index(b"IDAT") + 500
    data[at : at + 50] = bytes(50)
    return bytes(data)


def text_bomb() -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(70_000_000), 9))


FILES: dict[str, tuple[Callable[[], bytes], Refusal | Answer]] = {
    # nothing, or no picture
    "empty.jpg": (lambda: b"", Refusal(r"is empty \(0 bytes\)")),
    "one-byte.jpg": (lambda: b"\xff", Refusal("is no picture of a type that is read")),
    "text.jpg": (lambda: b"Dear Anna, here is the photo.\n", Refusal("is no picture of a type that is read")),
    "zeros.png": (lambda: bytes(4096), Refusal("is no picture of a type that is read")),
    "random.png": (lambda: np.random.default_rng(1).bytes(4096), Refusal("is no picture of a type that is read")),
    "pointer.png": (lambda: b"version https://git-lfs.github.com/spec/v1\n", Refusal("is no picture of a type")),
    "archive.png": (lambda: b"PK\x03\x04" + bytes(100), Refusal("is no picture of a type that is read")),
    "drawing.svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", Refusal("is no picture of a type")),
    "page.pdf": (lambda: saved(picture(), "PDF"), Refusal("is no picture of a type that is read")),
    "script.eps": (lambda: saved(picture(), "EPS"), Refusal("is no picture of a type that is read")),
    "icon.ico": (lambda: saved(picture(), "ICO"), Refusal("is no picture of a type that is read")),
    "layers.psd": (lambda: b"8BPS\0\1" + bytes(100), Refusal("is no picture of a type that is read")),
    "phone.heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(100), Refusal("is damaged or cut short")),
    "phone.avif": (lambda: b"\0\0\0\x18ftypavif" + bytes(100), Refusal("is damaged or cut short")),
    "film.mp4": (lambda: b"\0\0\0\x18ftypisom" + bytes(100), Refusal("no picture of a type .* video is not read")),
    # cut short or damaged
    "half.jpg": (lambda: half("JPEG"), Refusal("is damaged or cut short")),
    "half-progressive.jpg": (lambda: half("JPEG", progressive=True), Refusal("is damaged or cut short")),
    "start.jpg": (lambda: half("JPEG")[:20], Refusal("half|damaged|cut short|no picture")),
    "half.png": (lambda: half("PNG"), Refusal("is damaged or cut short")),
    "signature.png": (lambda: half("PNG")[:8], Refusal("damaged|no picture")),
    "half.webp": (lambda: half("WEBP"), Refusal("damaged|no picture")),
    "half.tif": (lambda: half("TIFF"), Refusal("damaged|no picture")),
    "half-packed.tif": (lambda: half("TIFF", compression="tiff_lzw"), Refusal("damaged|no picture")),
    "half.jp2": (lambda: half("JPEG2000"), Refusal("is damaged or cut short")),
    "half.avif": (lambda: half("AVIF"), Refusal("is damaged or cut short")),
    "half.heic": (lambda: heic()[:-100], Refusal("is damaged or cut short")),
    "half.bmp": (lambda: half("BMP"), Refusal("is damaged or cut short")),
    "half.gif": (lambda: half("GIF"), Refusal("is damaged or cut short")),
    "half-deep.tif": (lambda: deep_tiff()[:-20], Refusal("is damaged or cut short")),
    "corrupt.png": (corrupt_data, Refusal("is damaged or cut short")),
    "no-pixels.png": (lambda: png(32, 24, 8, 2, None), Refusal("is damaged or cut short")),
    "zero-wide.png": (lambda: png(0, 24, 8, 2, b""), Refusal("damaged|no pixels|no picture")),
    # too large
    "bomb.png": (lambda: png(100_000, 100_000, 8, 2, b""), Refusal("10000.0 megapixels; the limit is", TooLargeError)),
    "bomb.jpg": (lambda: jpeg_sized(65_000, 65_000), Refusal("4225.0 megapixels; the limit is", TooLargeError)),
    "bomb.gif": (lambda: b"GIF89a\xff\xff\xff\xff\0\0\0" + bytes(30), Refusal("megapixels|damaged|cut short")),
    "text-bomb.png": (lambda: png(32, 24, 8, 2, bytes(97) * 24, text_bomb()), Refusal("is damaged or cut short")),
    # pixels of a type that is not read
    "float.tif": (lambda: saved(Image.new("F", (8, 8), 0.5), "TIFF"), Refusal("pixels of type F are not read")),
    "lab.tif": (lambda: saved(Image.new("LAB", (8, 8)), "TIFF"), Refusal("pixels of type LAB are not read")),
    "wide.tif": (lambda: saved(Image.new("I", (8, 8), 70_000), "TIFF"), Refusal("go beyond 16 bits")),
    # odd and good
    "Großmutter 祖母 🙂.png": (lambda: saved(picture(), "PNG"), Answer()),
    'it\'s "1953"\n(2).png': (lambda: saved(picture(), "PNG"), Answer()),
    "no-ending": (lambda: saved(picture(), "PNG"), Answer()),
    "really-a-png.jpg": (lambda: saved(picture(), "PNG"), Answer()),
    "trailing.jpg": (lambda: saved(picture(), "JPEG", quality=95) + b"garbage" * 100, Answer(tolerance=3)),
    "one.png": (lambda: saved(picture(size=(1, 1)), "PNG"), Answer(size=(1, 1))),
    "thin.png": (lambda: saved(picture(size=(4000, 1)), "PNG"), Answer(size=(1, 4000))),
    "interlaced.png": (lambda: saved(picture(), "PNG", interlace=True), Answer()),
    "lossless.jp2": (lambda: saved(picture(), "JPEG2000"), Answer()),
    "alpha.jp2": (lambda: saved(picture("RGBA"), "JPEG2000"), Answer(has_alpha=True)),
    "stream.j2k": (lambda: saved(picture(), "JPEG2000", no_jp2=True), Answer()),
    "picture.avif": (lambda: saved(picture(), "AVIF", quality=100), Answer(tolerance=3)),
    "picture.heic": (lambda: encode_photo(photo_from_image(picture()), "HEIF"), Answer(tolerance=4)),
    "progressive.jpg": (lambda: saved(picture(), "JPEG", progressive=True, quality=95), Answer(tolerance=3)),
    "cmyk.jpg": (lambda: saved(picture("CMYK"), "JPEG", quality=95), Answer(tolerance=4)),
    "cmyk.tif": (lambda: saved(picture("CMYK"), "TIFF"), Answer(tolerance=2)),
    "cmyk-bad-profile.jpg": (
        lambda: saved(picture("CMYK"), "JPEG", quality=95, icc_profile=bytes(36) + b"acsp" + bytes(200)),
        Answer(tolerance=4),
    ),
    "bad-profile.png": (lambda: saved(picture(), "PNG", icc_profile=b"none"), Answer()),
    "bad-exif.jpg": (lambda: saved(picture(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff"), Answer(tolerance=3)),
    "palette.png": (lambda: saved(picture().quantize(4), "PNG"), Answer(tolerance=4)),
    "palette-alpha.png": (palette_with_alpha, Answer(has_alpha=True, tolerance=4)),
    "bits.png": (lambda: saved(Image.new("1", (32, 24), 1), "PNG"), Answer(colour=(255, 255, 255), is_grey=True)),
    "grey.jpg": (lambda: saved(picture("L"), "JPEG"), Answer(colour=(86, 86, 86), is_grey=True, tolerance=2)),
    "grey-alpha.png": (lambda: saved(picture("LA"), "PNG"), Answer(colour=(86, 86, 86), is_grey=True, has_alpha=True)),
    "grey-key.png": (lambda: with_transparent_key("L"), Answer(colour=(86, 86, 86), is_grey=True, has_alpha=True)),
    "key.png": (lambda: with_transparent_key("RGB"), Answer(has_alpha=True)),
    "alpha.webp": (lambda: saved(picture("RGBA"), "WEBP", lossless=True), Answer()),
    "alpha.png": (lambda: saved(picture("RGBA"), "PNG"), Answer(has_alpha=True)),
    "deep-grey.png": (lambda: deep_png(0, 20_000), Answer(colour=(78, 78, 78), bit_depth=16, is_grey=True)),
    "deep.png": (lambda: deep_png(2, *(257 * v for v in RED)), Answer(bit_depth=16)),
    "deep-alpha.png": (lambda: deep_png(6, *(257 * v for v in RED), 9), Answer(bit_depth=16, has_alpha=True)),
    "deep-grey-alpha.png": (
        lambda: deep_png(4, 20_000, 9),
        Answer(colour=(78, 78, 78), bit_depth=16, is_grey=True, has_alpha=True),
    ),
    "deep.tif": (deep_tiff, Answer(bit_depth=16)),
    "frames.gif": (lambda: frames("GIF"), Answer(tolerance=4)),
    "frames.webp": (lambda: frames("WEBP", lossless=True), Answer()),
    "pages.tif": (lambda: frames("TIFF"), Answer()),
    "pair.mpo": (lambda: frames("MPO", quality=95), Answer(tolerance=3)),
    **{f"turned-{value}.png": ((lambda v=value: oriented(v)), Answer()) for value in (1, 2, 3, 4)},
    **{f"turned-{value}.png": ((lambda v=value: oriented(v)), Answer(size=(32, 24))) for value in (5, 6, 7, 8)},
    "turned-0.png": (lambda: oriented(0), Answer()),
    "turned-99.png": (lambda: oriented(99), Answer()),
}


def test_there_are_fifty_of_them():
    assert len(FILES) >= 50


@pytest.mark.parametrize("name", FILES)
def test_every_odd_file_gets_its_promised_answer(name, tmp_path):
    make, expected = FILES[name]
    path = tmp_path / name
    path.write_bytes(make())
    if isinstance(expected, Refusal):
        with pytest.raises(PhotoError, match=expected.text) as caught:
            read_photo(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert type(caught.value) is expected.kind or "|" in expected.text
        return
    photo = read_photo(path)
    assert tuple(photo.pixels.shape[1:]) == expected.size
    assert (photo.bit_depth, photo.is_grey, photo.alpha is not None) == (
        expected.bit_depth,
        expected.is_grey,
        expected.has_alpha,
    )
    assert np.abs(photo.pixels[:, 0, 0].numpy() * 255 - expected.colour).max() <= expected.tolerance
    assert photo.source == str(path)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "nowhere.jpg", "there is no such file"),
        (lambda folder: folder, "is a folder, not a picture"),
        (lambda folder: folder / "file.jpg" / "below.jpg", "can't be read"),
        (lambda folder: folder / ("long" * 100 + ".jpg"), "can't be read: .*too long"),
        (lambda folder: Path("null\0.jpg"), "can't be read: .*null"),
        (lambda folder: Path("/dev/zero"), "is not an ordinary file"),
    ],
)
def test_paths_that_lead_to_no_picture_are_named(make, text, tmp_path):
    (tmp_path / "file.jpg").write_bytes(saved(picture(), "JPEG"))
    with pytest.raises(PhotoError, match=text):
        read_photo(make(tmp_path))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="is not an ordinary file"):
        read_photo(tmp_path / "pipe.jpg")


def test_links_are_followed_and_a_broken_one_is_missing(tmp_path):
    (tmp_path / "real.png").write_bytes(saved(picture(), "PNG"))
    (tmp_path / "good.png").symlink_to(tmp_path / "real.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    assert read_photo(tmp_path / "good.png").pixels.shape == (3, 24, 32)
    with pytest.raises(PhotoError, match="there is no such file"):
        read_photo(tmp_path / "broken.png")


def test_the_limit_is_met_exactly_and_formats_can_be_narrowed(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(picture(), "PNG"))
    assert read_photo(path, Limits(max_pixels=32 * 24)).pixels.shape == (3, 24, 32)
    with pytest.raises(TooLargeError, match="32 x 24"):
        read_photo(path, Limits(max_pixels=32 * 24 - 1))
    with pytest.raises(TooLargeError, match=r"the limit is 0.000767: .*--max-pixels .*Limits\(max_pixels="):
        read_photo(path, Limits(max_pixels=32 * 24 - 1))
    with pytest.raises(PhotoError, match=r"is no picture of a type that is read \(JPEG\)"):
        read_photo(path, Limits(formats=("JPEG",)))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF"])
def test_bytes_changed_at_random_give_a_photo_or_a_photo_error_and_nothing_else(form):
    data = heic() if form == "HEIF" else saved(noisy(), form)
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(data)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 100, rng.integers(1, 6)):
            changed[place] = rng.integers(256)
        try:
            photo = photo_from_bytes(bytes(changed), "changed", Limits(max_pixels=1_000_000))
        except PhotoError:
            continue
        assert photo.pixels.min() >= 0.0
        assert photo.pixels.max() <= 1.0
