import io
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from keepface.image.deep import decode_deep, encode_png16, is_deep
from keepface.image.tiff import encode_tiff

ENCODERS = [encode_png16, encode_tiff]


def pixels(channels: int, height: int = 7, width: int = 5) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (height, width, channels), dtype=np.uint16)


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize("channels", [3, 4])
def test_every_16_bit_colour_value_comes_back(encode, channels):
    array = pixels(channels)
    assert np.array_equal(decode_deep(encode(array, None, None, None)), array)


@pytest.mark.parametrize("encode", ENCODERS)
def test_16_bit_grey_is_read_whole_by_pillow_and_opencv(encode):
    array = pixels(1)
    data = encode(array, None, None, None)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "I;16"
        assert np.array_equal(np.asarray(image), array[..., 0])
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), array[..., 0])


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (64, 3)])
def test_pillow_sees_the_upper_eight_bits_in_any_size(encode, channels, size):
    array = pixels(channels, *size)
    with Image.open(io.BytesIO(encode(array, None, None, None))) as image:
        assert image.size == size[::-1]
        image.load()
        seen = np.asarray(image).reshape(*size, channels).astype(int)
        assert np.abs((seen >> 8 if channels == 1 else seen) - (array >> 8)).max() <= 1


@pytest.mark.parametrize("encode", ENCODERS)
def test_profile_exif_and_resolution_stand_in_the_file(encode):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8769] = {0x9003: "2001:02:03 04:05:06"}
    icc = b"\0" * 200
    data = encode(pixels(3), icc, exif.tobytes(), (300.0, 150.0))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.info["icc_profile"] == icc
        assert image.info["dpi"] == pytest.approx((300.0, 150.0), abs=0.1)
        assert image.getexif()[0x010F] == "Maker"
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06"


def test_eight_bit_files_are_not_deep():
    for form in ("PNG", "TIFF", "JPEG"):
        out = io.BytesIO()
        Image.new("RGB", (4, 4)).save(out, form)
        assert not is_deep(Image.open(io.BytesIO(out.getvalue())), out.getvalue()[:32])


def test_what_opencv_cannot_decode_in_16_bits_is_none():
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    assert decode_deep(out.getvalue()) is None
    assert decode_deep(b"no picture") is None


def test_a_chunk_that_claims_gigabytes_takes_none():
    data = bytearray(encode_png16(pixels(3), None, None, None))
    at = data.index(b"IDAT")
    assert decode_deep(bytes(data)) is not None
    data[at - 4 : at] = b"\xd0\0\0\0"
    start = time.process_time()
    assert decode_deep(bytes(data)) is None
    assert time.process_time() - start < 0.5  # OpenCV alone fills 3.5 GB, for seconds
