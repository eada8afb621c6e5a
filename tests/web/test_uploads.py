"""Names and bytes of callers: names never lead anywhere, and the first bytes say what a file is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepface.errors import PhotoError, TooLargeError
from keepface.web.refusals import NotPictureError, status_of
from keepface.web.uploads import Filed, Upload, format_of, plain_name, read_upload, written_as

from .conftest import noise


@given(st.text(max_size=400))
def test_a_name_has_no_folder_no_control_and_an_end(name: str) -> None:
    plain = plain_name(name)
    assert 1 <= len(plain) <= 120 and plain.isprintable() and not plain.startswith(".")
    assert not {"/", "\\", "\0", "\n"} & set(plain)
    assert plain_name(plain) == plain


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\anna.jpg", "anna.jpg"),
        ("Großmutter 祖母.jpg", "Großmutter 祖母.jpg"),
        ("", "photo"),
        ("...", "photo"),
        (".hidden.png", "hidden.png"),
        ("x" * 500 + ".jpeg", "x" * 110 + ".jpeg"),
    ],
)
def test_names_are_shortened_to_what_is_shown(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"])
def test_every_format_that_is_read_is_known_by_its_first_bytes(form: str) -> None:
    data = noise(form=form)
    assert format_of(data) == form
    assert written_as(data) == (form if form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") else "PNG")
    assert read_upload(Upload("x", data), 64_000_000).pixels.shape == (3, 48, 64)


def test_refusals_have_their_statuses() -> None:
    for data, most, kind, status in (
        (b"MZ", 10_000, NotPictureError, 415),
        (b"", 10_000, PhotoError, 422),
        (noise()[:70], 10_000, PhotoError, 422),
        (noise(), 3_071, TooLargeError, 413),
    ):
        with pytest.raises(kind) as caught:
            read_upload(Upload("x.png", data), most)
        assert status_of(caught.value) == status and str(caught.value).startswith("x.png: ")


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"x\.png: is no longer there"):
        _ = Filed("x.png", tmp_path / "0").data
