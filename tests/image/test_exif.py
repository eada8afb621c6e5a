import io
import struct

import pytest
import torch
from PIL import Image

from keepface.image import exif
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, encode_photo, photo_from_bytes

TEXTS = {  # as programs write them: no rule that is kept says in which encoding
    0x010E: "Großmutter im Garten, été 1962".encode(),
    0x013B: "Jürgen Müller".encode("latin-1"),
    0x8298: "© 祖母".encode("shift-jis", "replace"),
    0x9C9B: "Großmutter".encode("utf-16-le"),
}
LENS = "Möller".encode()
PIXELS = torch.linspace(0, 1, 3 * 12 * 16).reshape(3, 12, 16)


def made(order: str) -> exif.Exif:
    entries = {tag: exif.Entry(exif.ASCII if tag < 0x9C00 else 1, len(text), text) for tag, text in TEXTS.items()}
    inner = {
        0x9003: exif.Entry(exif.ASCII, 20, b"1962:07:19 10:11:12\0"),
        0x9286: exif.Entry(7, 18, b"UNICODE\0" + "Oma 祖母".encode("utf-16-be")[:10]),
        0xA433: exif.Entry(exif.ASCII, len(LENS), LENS),
    }
    gps = {1: exif.Entry(exif.ASCII, 2, b"N\0"), 2: exif.of_numbers(order, exif.RATIONAL, 52, 1, 30, 1, 1, 7)}
    return exif.Exif(order, entries, {exif.EXIF: inner, exif.GPS: gps})


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_written_is_read_back_byte_for_byte(order: str) -> None:
    data = exif.to_bytes(made(order))
    assert data is not None and exif.from_bytes(data) == made(order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pillow_reads_the_same_values(order: str) -> None:
    read = Image.Exif()
    read.load(exif.to_bytes(made(order)) or b"")
    assert read[0x010E].encode("latin-1") == TEXTS[0x010E]
    assert read.get_ifd(exif.EXIF)[0x9003] == "1962:07:19 10:11:12"
    assert [float(part) for part in read.get_ifd(exif.GPS)[2]] == [52.0, 30.0, pytest.approx(1 / 7)]


@pytest.mark.parametrize("form", sorted(set(FORMATS.values())))
@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_texts_in_any_encoding_go_through_every_format(form: str, bit_depth: int, order: str) -> None:
    photo = Photo(PIXELS, bit_depth=bit_depth, exif=exif.to_bytes(made(order)))
    again = exif.from_bytes(photo_from_bytes(encode_photo(photo, form)).exif or b"")
    assert again is not None
    assert {tag: again.main[tag].data for tag in TEXTS} == TEXTS
    assert again.below == made(order).below


def test_values_that_point_outside_or_claim_too_much_are_left_out() -> None:
    good = struct.pack("<HHI4s", 0x010F, exif.ASCII, 4, b"Acm\0")
    outside = struct.pack("<HHII", 0x0110, exif.ASCII, 8, 4_000_000_000)
    huge = struct.pack("<HHII", 0x0131, exif.ASCII, 4_000_000_000, 8)
    body = struct.pack("<H", 3) + good + outside + huge + bytes(4)
    assert set((exif.from_bytes(b"II*\0\x08\0\0\0" + body) or exif.Exif()).main) == {0x010F}
    # Ten thousand values that are all the same half of the file: as long together as the file is, and no longer.
    rows = b"".join(struct.pack("<HHII", tag, exif.ASCII, 60_000, 8) for tag in range(1000, 11_000))
    again = exif.from_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", 10_000) + rows)
    assert again is not None and sum(len(entry.data) for entry in again.main.values()) <= len(rows) + 10


def test_the_directories_of_a_bigtiff_are_read() -> None:
    text = b"a text of more than eight bytes"
    row = struct.pack("<HHQQ", 0x010E, exif.ASCII, len(text), 16 + 8 + 20)
    data = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + struct.pack("<Q", 1) + row + text
    assert exif.read(io.BytesIO(data)).main[0x010E].data == text


def test_what_is_too_long_for_a_jpeg_loses_its_longest_value_and_no_other() -> None:
    long = {**made("<").main, 0x9C9C: exif.Entry(1, 70_000, bytes(70_000))}
    photo = Photo(PIXELS, exif=exif.to_bytes(exif.Exif("<", long, made("<").below)))
    again = exif.from_bytes(photo_from_bytes(encode_photo(photo, "JPEG")).exif or b"")
    assert again == made("<")


# The eight ways a picture of 40 by 30 pixels may be stored, and where a box of it at 10, 20 of 4 by 6 is to be found.
PLACES = {
    1: (12, 23, 4, 6),
    2: (28, 23, 4, 6),
    3: (28, 7, 4, 6),
    4: (12, 7, 4, 6),
    5: (23, 12, 6, 4),
    6: (7, 12, 6, 4),
    7: (7, 28, 6, 4),
    8: (23, 28, 6, 4),
}


@pytest.mark.parametrize("orientation", PLACES)
def test_the_subject_is_turned_with_the_picture(orientation: int) -> None:
    main = {
        exif.ORIENTATION: exif.of_numbers(">", exif.SHORT, orientation),
        exif.X_RESOLUTION: exif.of_numbers(">", exif.RATIONAL, 300, 1),
        exif.Y_RESOLUTION: exif.of_numbers(">", exif.RATIONAL, 150, 1),
    }
    area = exif.of_numbers(">", exif.SHORT, 12, 23, 4, 6)
    data = exif.to_bytes(exif.Exif(">", main, {exif.EXIF: {exif.SUBJECT_AREA: area}}))
    for form in ("JPEG", "PNG", "TIFF"):
        out = io.BytesIO()
        Image.new("RGB", (40, 30)).save(out, form, exif=data)
        again = exif.from_bytes(photo_from_bytes(out.getvalue()).exif or b"")
        assert again is not None and again.orientation == 1
        assert exif.numbers(again.order, again.below[exif.EXIF][exif.SUBJECT_AREA]) == PLACES[orientation]
        turned = [
            struct.unpack(f"{again.order}2I", again.main[tag].data) for tag in (exif.X_RESOLUTION, exif.Y_RESOLUTION)
        ]
        assert [one / other for one, other in turned] == ([150, 300] if orientation >= 5 else [300, 150])
