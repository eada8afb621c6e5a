"""What files say beside their pixels: as keepface reads it, and as ExifTool does."""

import hashlib
import io
import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, PngImagePlugin

from keepface.image import beside, iptc, png
from keepface.image.beside import Beside
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, encode_photo, photo_from_bytes, read_photo, without_gps, write_photo

PIXELS = torch.linspace(0, 1, 3 * 12 * 16).reshape(3, 12, 16)


def dataset(record: int, number: int, text: str) -> bytes:
    data = text.encode()
    return bytes([0x1C, record, number]) + struct.pack(">H", len(data)) + data


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    pascal = bytes([len(name)]) + name
    padded = data + b"\0" * (len(data) % 2)
    return (
        b"8BIM" + struct.pack(">H", number) + pascal + b"\0" * (len(pascal) % 2) + struct.pack(">I", len(data)) + padded
    )


IIM = b"\x1c\x01\x5a\0\x03\x1b%G" + dataset(2, 120, "Großmutter im Garten") + dataset(2, 25, "été")
BLOCK = resource(iptc.IPTC, IIM) + resource(iptc.URL, b"x-test:odd", b"ab")


def test_captions_stay_and_the_old_files_thumbnail_goes() -> None:
    block = resource(0x040C, b"THUMBNAIL") + BLOCK + resource(0x03ED, bytes(16))
    assert iptc.kept(block) == BLOCK
    assert iptc.iim(block) == IIM and iptc.kept(iptc.of_iim(IIM) or b"") == resource(iptc.IPTC, IIM)
    assert iptc.kept(block[:20]) is None and iptc.kept(b"") is None and iptc.of_iim(b"no captions") is None


def test_a_block_longer_than_a_segment_is_split_and_joined() -> None:
    long = resource(iptc.IPTC, IIM + dataset(2, 120, "x" * 30_000) * 5)
    parts, at = [], 0
    data = iptc.segments(long)
    while at < len(data):
        assert data[at : at + 2] == b"\xff\xed"
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        parts.append(data[at + 4 : at + 2 + length])
        at += 2 + length
    assert len(parts) == 3 and iptc.from_segments(parts) == long


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_captions_go_through_every_format_that_has_a_place_for_them(form: str, bit_depth: int) -> None:
    photo = Photo(PIXELS, bit_depth=bit_depth, beside=Beside(BLOCK))
    assert photo_from_bytes(encode_photo(photo, form)).beside.resources == BLOCK
    assert beside.not_kept(photo.beside, form) == ()
    assert beside.not_kept(photo.beside, "WEBP") == ("IPTC captions and keywords",)


def test_comments_of_a_jpeg_come_back_byte_for_byte_whatever_their_encoding() -> None:
    comments = ("Kiste 4, Großmutter".encode("latin-1"), "祖母".encode())
    again = photo_from_bytes(encode_photo(Photo(PIXELS, beside=Beside(comments=comments)), "JPEG"))
    assert again.beside.comments == comments
    in_png = photo_from_bytes(encode_photo(again, "PNG")).beside.chunks
    assert [png.text_of(chunk) for chunk in in_png] == [("Comment", "Kiste 4, Großmutter"), ("Comment", "祖母")]


def png_of(**texts: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text, zip=len(text) > 20)
    info.add_itxt("Author", "Jürgen", "de", "Autor")
    info.add(b"gAMA", struct.pack(">I", 55556))
    info.add(b"cHRM", struct.pack(">8I", *range(8)))
    Image.new("RGB", (16, 12)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_texts_gamma_and_primaries_of_a_png_come_back(bit_depth: int) -> None:
    photo = photo_from_bytes(png_of(Title="Grandma", Description="In the garden, in the year 1962"))
    assert {kind for kind, _ in photo.beside.chunks} == {b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"cHRM"}
    again = encode_photo(Photo(PIXELS, bit_depth=bit_depth, beside=photo.beside), "PNG")
    assert photo_from_bytes(again).beside == photo.beside
    with Image.open(io.BytesIO(again)) as image:
        image.load()
        assert image.info["gamma"] == 0.55556 and image.info["chromaticity"] == tuple(n / 100_000 for n in range(8))
        assert (image.info["Title"], image.info["Author"]) == ("Grandma", "Jürgen")
        assert image.info["Description"] == "In the garden, in the year 1962"


def test_texts_of_a_png_are_the_comments_of_a_jpeg_and_elsewhere_it_is_said_that_they_are_lost() -> None:
    photo = photo_from_bytes(png_of(Title="Grandma"))
    comments = photo_from_bytes(encode_photo(photo, "JPEG")).beside.comments
    assert comments == (b"Title: Grandma", "Author: Jürgen".encode())
    assert beside.not_kept(photo.beside, "JPEG") == ("gamma and primaries",)
    assert beside.not_kept(photo.beside, "TIFF") == ("comments", "gamma and primaries")


def test_a_text_that_gives_the_place_is_stripped_with_it() -> None:
    photo = photo_from_bytes(png_of(**{"exif:GPSLatitude": "52/1, 30/1", "Title": "Grandma"}))
    texts = [png.text_of(chunk)[0] for chunk in beside.texts(without_gps(photo).beside.chunks)]
    assert texts == ["Title", "Author"]


def test_an_image_of_pillow_brings_what_its_file_says(tmp_path: Path) -> None:
    from keepface.image.files import photo_from_image

    (tmp_path / "a.png").write_bytes(png_of(Title="Grandma"))
    with Image.open(tmp_path / "a.png") as image:
        assert photo_from_image(image).beside == read_photo(tmp_path / "a.png").beside


def test_no_resolution_is_made_up() -> None:
    exif = Image.Exif()
    exif[0x010E] = "no resolution in it"
    for form in ("JPEG", "TIFF", "PNG", "WEBP"):
        out = io.BytesIO()
        Image.new("RGB", (16, 12)).save(out, form, exif=exif)
        photo = photo_from_bytes(out.getvalue())
        assert photo.dpi is None and photo.exif is not None
        again = photo_from_bytes(encode_photo(photo, "TIFF"))
        assert again.dpi is None and b"\x1a\x01\x05\0" not in encode_photo(photo, "TIFF")[:400]


EXIFTOOL = shutil.which("exiftool")
TAGS = (
    "-IFD0:ImageDescription=Großmutter im Garten, été 1962",
    "-IFD0:Artist=Jürgen Müller",
    "-ExifIFD:DateTimeOriginal=1962:07:19 10:11:12",
    "-ExifIFD:LensMake=Möller 祖母",
    "-ExifIFD:UserComment=Großmutter",
    "-GPS:GPSLatitude=52.5",
    "-GPS:GPSLatitudeRef=N",
    "-XMP-dc:Title=Étreinte",
)
OF_FORMAT = {
    ".jpg": ("-IPTC:Caption-Abstract=Großmutter", "-IPTC:Keywords=été", "-Comment=Kiste 4"),
    ".tif": ("-IPTC:Caption-Abstract=Großmutter", "-IPTC:Keywords=été"),
    ".png": ("-PNG:Title=Großmutter", "-PNG:Author=Jürgen", "-PNG:CreationTime=1962:07:19 10:11:12"),
    ".webp": (),
}


def tags_of(path: Path) -> dict[str, Any]:
    done = subprocess.run([EXIFTOOL or "", "-j", "-G1", str(path)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout)[0])


@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed (Debian: libimage-exiftool-perl)")
@pytest.mark.parametrize("suffix", OF_FORMAT)
def test_exiftool_reads_the_same_tags_before_and_after(tmp_path: Path, suffix: str) -> None:
    before, after = tmp_path / f"before{suffix}", tmp_path / f"after{suffix}"
    Image.new("RGB", (16, 12)).save(before)
    given = [*TAGS, *OF_FORMAT[suffix]]
    command = [EXIFTOOL or "", "-q", "-charset", "iptc=utf8", "-IPTC:CodedCharacterSet=UTF8", *given, str(before)]
    if suffix in (".png", ".webp"):
        command.remove("-IPTC:CodedCharacterSet=UTF8")
    subprocess.run(command, check=True, capture_output=True)
    write_photo(read_photo(before), after)
    old, new = tags_of(before), tags_of(after)
    asked = {text[1:].partition("=")[0].partition(":")[2] or "Comment" for text in given}
    found = {name: value for name, value in old.items() if name.partition(":")[2] in asked}
    assert len({name.partition(":")[2] for name in found}) == len(asked)
    assert {name: new.get(name) for name in found} == found
    assert "ExifTool:Warning" not in new and not any(name.startswith("IPTC2") for name in new)


def test_the_same_photo_gives_the_same_bytes_in_every_format() -> None:
    said = Beside(BLOCK, (b"a comment",), (png.text_chunk("Title", "Großmutter"),))
    for form in sorted(set(FORMATS.values())):
        digests = {hashlib.sha256(encode_photo(Photo(PIXELS, beside=said), form)).digest() for _ in range(3)}
        assert len(digests) == 1
