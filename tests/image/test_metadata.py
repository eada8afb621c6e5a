import io

import pytest
from PIL import Image

from keepface.image import metadata


def jpeg(exif: Image.Exif | bytes) -> Image.Image:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    return Image.open(io.BytesIO(out.getvalue()))


def loaded(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(data)
    return exif


@pytest.mark.parametrize(("stored", "read"), [(1, 1), (6, 6), (8, 8), (0, 1), (9, 1)])
def test_orientation_is_1_unless_it_is_one_of_the_eight(stored, read):
    exif = Image.Exif()
    exif[0x0112] = stored
    assert metadata.orientation(jpeg(exif)) == read


def test_a_picture_without_exif_has_none():
    image = Image.new("RGB", (2, 2))
    assert metadata.orientation(image) == 1
    assert metadata.read_exif(image) is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_left_out():
    image = jpeg(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert metadata.orientation(image) == 1
    assert metadata.fit_exif(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", 2, 2) is None
    assert metadata.fit_exif(b"nonsense", 2, 2) is None


def test_the_old_thumbnail_and_the_makers_note_are_dropped():
    # A first directory with one tag, then a second one (the thumbnail's), as cameras write them.
    first = b"\0\x01" + b"\x01\x0f\0\x02\0\0\0\x04Acm\0" + b"\0\0\0\x1a"
    second = b"\0\x02" + b"\x02\x01\0\x04\0\0\0\x01\0\0\0\x38" + b"\x02\x02\0\x04\0\0\0\x01\0\0\0\x05" + bytes(4)
    data = b"Exif\0\0MM\0*\0\0\0\x08" + first + second + b"THUMB"
    tidy = metadata.fit_exif(data, 8, 8)
    assert b"THUMB" not in tidy
    assert loaded(tidy)[0x010F] == "Acm"
    assert len(loaded(tidy)) == 1

    noted = Image.Exif()
    noted[0x8769] = {0x927C: b"PLACES IN THE OLD FILE", 0x9003: "2001:02:03 04:05:06"}
    assert b"PLACES" not in metadata.fit_exif(noted.tobytes(), 8, 8)


def test_tags_that_describe_the_old_file_are_dropped_and_the_rest_kept():
    exif = Image.Exif()
    exif[0x0100], exif[0x0111], exif[0x013B] = 640, 8, "Anna"
    assert dict(loaded(metadata.fit_exif(exif.tobytes(), 8, 8))) == {0x013B: "Anna"}


def test_sizes_are_corrected_only_where_they_stood():
    exif = Image.Exif()
    exif[0x8769] = {0xA002: 1, 0xA003: 2}
    assert loaded(metadata.fit_exif(exif.tobytes(), 30, 20)).get_ifd(0x8769) == {0xA002: 30, 0xA003: 20}
    exif[0x8769] = {0x9003: "2001:02:03 04:05:06"}
    assert set(loaded(metadata.fit_exif(exif.tobytes(), 30, 20)).get_ifd(0x8769)) == {0x9003}


def test_a_profile_needs_its_signature():
    good = bytes(36) + b"acsp" + bytes(100)
    assert metadata.usable_icc(good) == good
    for bad in (None, b"", "text", bytes(200), good[:100]):
        assert metadata.usable_icc(bad) is None


@pytest.mark.parametrize("dpi", [None, (0, 0), (-72, 72), (float("nan"), 72), ("x", 1), (72,)])
def test_a_resolution_without_sense_is_none(dpi):
    image = Image.new("RGB", (2, 2))
    image.info["dpi"] = dpi
    assert metadata.resolution(image) is None
