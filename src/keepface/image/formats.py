"""Formats of picture files: how each is known by its first bytes, and who reads its header."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from keepface.errors import PhotoError
from keepface.image.limits import Limits
from keepface.image.stream import Stream

START_BYTES = 64  # of a file, by which its format is known
REDUCED = 1  # bit of TIFF's tag 254: a smaller picture of another one
SUBFILE_TYPE = 254


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF as Pillow reads it, without its own limit: ours was checked by the header."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        ImageFile.ImageFile.load_prepare(self)


def _heif(stream: Stream) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise OSError("HEIC needs pillow-heif: pip install pillow-heif") from None
    return HeifImageFile(stream)


def _avif(stream: Stream) -> Image.Image:
    if not AvifImagePlugin.SUPPORTED:
        raise OSError("this Pillow is built without AVIF; its wheels from PyPI have it")
    return AvifImagePlugin.AvifImageFile(stream)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Format:
    """One format; `start` is a regular expression that its first bytes match, `open` reads the header alone."""

    start: bytes
    open: Callable[[Stream], Image.Image]


# Asked in this order. Image.open would ask a registry, and has a limit that is one for the whole process.
FORMATS: dict[str, Format] = {
    "JPEG": Format(rb"\xff\xd8\xff", JpegImagePlugin.jpeg_factory),  # type: ignore[arg-type]
    "PNG": Format(rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),  # type: ignore[arg-type]
    "WEBP": Format(rb"RIFF....WEBP", WebPImagePlugin.WebPImageFile),  # type: ignore[arg-type]
    "TIFF": Format(rb"II[*+]\x00|MM\x00[*+]", _Tiff),  # type: ignore[arg-type]
    "BMP": Format(rb"BM", BmpImagePlugin.BmpImageFile),  # type: ignore[arg-type]
    "GIF": Format(rb"GIF8[79]a", GifImagePlugin.GifImageFile),  # type: ignore[arg-type]
    "JPEG2000": Format(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xffO\xffQ", Jpeg2KImagePlugin.Jpeg2KImageFile),  # type: ignore[arg-type]
    "AVIF": Format(rb"....ftyp(avif|avis|(mif1|msf1)....(....)*?avif)", _avif),
    "HEIF": Format(rb"....ftyp(heic|heix|hevc|hevx|heim|heis|hevm|hevs|mif1|msf1)", _heif),
}


def format_of(start: bytes) -> str | None:
    """Return the format that a file's first bytes speak of; `None`: none that is read."""
    return next((name for name, item in FORMATS.items() if re.match(item.start, start, re.DOTALL)), None)


def open_image(stream: Stream, start: bytes, source: str, limits: Limits) -> Image.Image:
    """Read the header of a picture file that begins with `start`, and refuse by it what is too large.

    Raises:
        PhotoError: of a type that is not read, or damaged at its start.
        TooLargeError: more pixels than the limits.
    """
    form = format_of(start)
    if form not in limits.formats:
        hint = "video is not read" if start[4:8] == b"ftyp" else "or it is damaged at its start"
        raise PhotoError(f"{source}: is no picture of a type that is read ({', '.join(limits.formats)}); {hint}")
    stream.seek(0)
    try:
        image = FORMATS[form].open(stream)
        if form == "TIFF" and is_reduced(image) and not first_whole_page(image):
            raise PhotoError(f"{source}: holds no picture but smaller copies of one that is not there")
    except PhotoError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged data
        raise PhotoError(f"{source}: is damaged or cut short: {str(error) or type(error).__name__}") from None
    limits.check(image.width, image.height, source)
    return image


def pictures_in(image: Image.Image) -> int:
    """Count the pictures of a file that are shown as such: pages, frames; no previews, gain maps or lesser sizes.

    Called when the first has been read: the image stands at another one afterwards.
    """
    if image.format == "TIFF":
        return sum(not is_reduced(image) for _ in _frames(image))
    if image.format == "MPO":
        first = image.size
        return sum(image.size == first for _ in _frames(image))
    return int(getattr(image, "n_frames", 1))


def first_whole_page(image: Image.Image) -> bool:
    """Go to the first page of a TIFF that is no smaller picture of another one; False where there is none."""
    return any(not is_reduced(image) for _ in _frames(image))


def is_reduced(image: Image.Image) -> bool:
    """Tell whether the page of a TIFF is a smaller picture of another one. [TIFF 6.0, NewSubfileType]"""
    value = getattr(image, "tag_v2", {}).get(SUBFILE_TYPE, 0)
    return isinstance(value, int) and bool(value & REDUCED)


def _frames(image: Image.Image) -> Iterator[int]:
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        yield number
