import io

import numpy as np
import pytest
from PIL import Image

from keepface.image.tiff import encode_tiff


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (64, 3)])
def test_pillow_reads_the_same_8_bit_pixels_back(channels, size):
    array = np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_tiff(array, None, None, None))) as image:
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(image).reshape(array.shape), array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_with_inner_tables_stands_beside_the_tags_of_the_pixels(dtype):
    exif = Image.Exif()
    exif[0x013B], exif[0x010E] = "Zoe", "a text of more than four bytes"
    exif[0x8769], exif[0x8825] = {0x9003: "2001:02:03 04:05:06"}, {1: "N", 2: (52.0, 30.0, 0.5)}
    data = encode_tiff(np.zeros((4, 6, 3), dtype), bytes(200), exif.tobytes(), (300.0, 300.0))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        read = image.getexif()
        assert (read[0x013B], read[0x010E]) == ("Zoe", "a text of more than four bytes")
        assert read.get_ifd(0x8769) == {0x9003: "2001:02:03 04:05:06"}
        assert [float(part) for part in read.get_ifd(0x8825)[2]] == [52.0, 30.0, 0.5]
        assert image.size == (6, 4)
