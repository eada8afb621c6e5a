import numpy as np
import pytest

from keepface.errors import FaceError
from keepface.faces.face import Face, largest


def face(left: float, top: float, right: float, bottom: float) -> Face:
    return Face((left, top, right, bottom), np.zeros((5, 2)), 1.0)


def test_the_largest_face_is_the_one_with_the_most_area_not_the_widest() -> None:
    wide, large = face(0.0, 0.0, 30.0, 10.0), face(50.0, 50.0, 70.0, 80.0)
    assert largest([wide, large]) is large
    assert (large.width, large.height, large.centre) == (20, 30, (60, 65))


def test_no_face_at_all_is_an_error_that_says_what_can_be_found() -> None:
    with pytest.raises(FaceError, match="no face was found"):
        largest([])


def test_a_face_in_an_enlarged_photo_keeps_its_pixel_centres() -> None:
    """The centre of the first pixel, (0, 0), is the centre of a block of 3 x 3 pixels, (1, 1)."""
    tripled = face(0.0, 1.0, 2.0, 3.0).scaled(3.0)
    assert tripled.box == (0.0, 3.0, 6.0, 9.0)
    np.testing.assert_array_equal(tripled.points, np.ones((5, 2)))
