"""Pictures on the page: small, inside the page, and of the face they are said to be of."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from keepface.web.page_pictures import around, data_address, inline, shown


def test_a_picture_is_put_into_the_page_itself_and_made_small() -> None:
    address = inline(torch.full((3, 300, 600), 0.5), 100)
    head, _, data = address.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == "data:image/jpeg;base64" and image.size == (100, 50)
    assert abs(int(np.asarray(image).mean()) - 128) <= 1
    assert data_address(b"\x89PNG...").startswith("data:image/png;base64,")


def test_small_pictures_keep_every_pixel() -> None:
    pixels = torch.arange(3 * 4 * 5).reshape(3, 4, 5) / 255
    assert np.array_equal(shown(pixels), np.arange(60).reshape(3, 4, 5).transpose(1, 2, 0))
    assert shown(torch.zeros(3, 10, 4000)).shape == (4, 1600, 3)


def test_a_face_is_cut_out_with_room_around_it_and_never_beyond_the_picture() -> None:
    pixels = torch.zeros(3, 100, 200)
    pixels[:, 40:60, 90:110] = 1
    cut = around(pixels, (90.0, 40.0, 110.0, 60.0))  # 20 px, and 9 on each side
    assert cut.shape == (3, 38, 38) and cut.sum() == pixels.sum()
    assert around(pixels, (45.0, 20.0, 55.0, 30.0), scale=2.0).shape == (3, 38, 38)
    assert around(pixels, (-30.0, -30.0, 10.0, 10.0)).shape == (3, 28, 28)
    assert around(pixels, (300.0, 300.0, 320.0, 320.0)).numel() > 0
