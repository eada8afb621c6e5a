"""Picture files in and out: the only place that knows of files, 8-bit pixels and EXIF."""

import contextlib
import dataclasses
import io
import os
import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from PIL import Image, PngImagePlugin
from torch import Tensor

from keepface.errors import OutputExistsError, PhotoError
from keepface.image import beside, deep, exif, metadata, png, xmp
from keepface.image.beside import Beside
from keepface.image.channels import plain, upright
from keepface.image.colour import is_grey
from keepface.image.endings import FORMATS
from keepface.image.formats import START_BYTES, open_image, pictures_in
from keepface.image.hidden import without_hidden
from keepface.image.limits import Limits
from keepface.image.modern import Metadata, encode_modern
from keepface.image.raw import decode_raw, is_raw
from keepface.image.size import resize
from keepface.image.tiff import encode_tiff

QUALITY = 95  # of JPEG, HEIC and AVIF (all without chroma subsampling) and WebP
JPEG_END, JPEG_BLOCK = b"\xff\xd9", 8
DEEP_TOLERANCE = 1.5 / 255  # of 16 bits cut to 8


@dataclass(frozen=True, eq=False)
class Photo:
    """One upright picture and what its file carried beside the pixels."""

    pixels: Float[Tensor, "3 h w"]  # RGB, 0 to 1
    alpha: Float[Tensor, "1 h w"] | None = None  # 0 transparent, 1 opaque
    bit_depth: int = 8  # 8 or 16, per channel
    is_grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None  # orientation 1, without thumbnail
    dpi: tuple[float, float] | None = None
    source: str = "memory"  # names the photo in messages
    xmp: bytes | None = None  # without what describes the old file
    beside: Beside = Beside()  # captions, comments, texts, gamma
    notes: tuple[str, ...] = ()  # what of its file is not in it, in words

    def save(self, path: Path | str, force: bool = False) -> None:
        """Write the photo to a file, as `write_photo`."""
        write_photo(self, path, force)


def with_pixels(photo: Photo, pixels: Float[Tensor, "3 h w"]) -> Photo:
    """Put other pixels into a photo; its transparency follows their size."""
    alpha = photo.alpha
    if alpha is not None:
        alpha = resize(alpha, (pixels.shape[1], pixels.shape[2]), "bilinear")
    return dataclasses.replace(photo, pixels=pixels, alpha=alpha)


def without_gps(photo: Photo) -> Photo:
    """Leave out the coordinates of the place where a photo was taken; the names of places stay."""
    found = None if photo.exif is None else metadata.exif_without_gps(photo.exif)
    packet = None if photo.xmp is None else xmp.without_gps(photo.xmp)
    return dataclasses.replace(photo, exif=found, xmp=packet, beside=beside.without_gps(photo.beside))


def read_photo(path: Path | str, limits: Limits = Limits()) -> Photo:  # noqa: B008 - frozen
    """Read a picture file, turned upright by its EXIF orientation; of several pictures in it the first, which is noted.

    What is fully transparent has the colours of what lies around it: what stood there is no part of the picture.

    Raises:
        PhotoError: missing, empty, truncated, damaged, a folder, of a type that is not read, or a camera's raw file
            and rawpy is not installed.
        TooLargeError: more pixels than the limits; checked by the header, before anything is decoded.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise PhotoError(f"{path}: is a folder, not a picture")
        if path.exists() and not path.is_file():
            raise PhotoError(f"{path}: is not an ordinary file, so not a picture")
        with path.open("rb") as stream:
            return _read(stream, str(path), limits)
    except FileNotFoundError:
        raise PhotoError(f"{path}: there is no such file") from None
    except PermissionError:
        raise PhotoError(f"{path}: can't be read: you have no permission to") from None
    except (OSError, ValueError) as error:
        raise PhotoError(f"{str(path)!r}: can't be read: {error}") from None


def photo_from_bytes(data: bytes, source: str = "memory", limits: Limits = Limits()) -> Photo:  # noqa: B008 - frozen
    """Read the bytes of a picture file; `source` names them in errors, which are those of `read_photo`."""
    return _read(io.BytesIO(data), source, limits)


def photo_from_image(image: Image.Image, source: str = "memory") -> Photo:
    """Take over a Pillow image, turned upright; `source` names it in errors, which are those of `read_photo`."""
    return _without_hidden(_from_image(image, source))


def _without_hidden(photo: Photo) -> Photo:
    if photo.alpha is None:
        return photo
    return dataclasses.replace(photo, pixels=without_hidden(photo.pixels, photo.alpha))


def _from_image(image: Image.Image, source: str) -> Photo:
    if min(image.size) < 1:
        raise PhotoError(f"{source}: the picture has no pixels ({image.width} x {image.height})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged metadata, which is then left out
        said, size = _said(image), image.size
        try:
            image.load()
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
            raise _damaged(source, error) from None
        # Read after loading: Pillow turns a TIFF upright as it loads, and that of a PNG may stand at its end.
        orientation = metadata.orientation(image)
        photo = Photo(**_channels(upright(plain(image, source), orientation)), source=source)
        return _with_said(photo, image, _Turn(orientation, size), said)


def to_uint8(pixels: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Round pixels to 8 bits; values outside 0 to 1 are cut."""
    return _to_integers(pixels, 8)


def from_uint8(array: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    """Take RGB pixels of 8 bits; `to_uint8` gives back the same values."""
    return _from_integers(array)


def write_photo(photo: Photo, path: Path | str, force: bool = False) -> None:
    """Write a photo in the format of the path's ending, whole or not at all.

    PNG and TIFF keep 16 bits; EXIF, XMP, profile, resolution and transparency are kept where the format can. JPEG has
    no transparency: the photo is laid on white. A grey photo whose pixels are still grey is written in one channel.

    Raises:
        OutputExistsError: the file exists and `force` is not set.
        PhotoError: the ending is unknown, or the file can't be written; nothing is left behind.
    """
    form = FORMATS.get(Path(path).suffix.lower())
    if form is None:
        ending = Path(path).suffix or "a file without an ending"
        raise PhotoError(f"{path}: can't write {ending}; use {', '.join(FORMATS)}")
    _write(Path(path), lambda: encode_photo(photo, form), force)


def write_bytes(data: bytes, path: Path | str, force: bool = False) -> None:
    """Write a file whole or not at all; errors are those of `write_photo`."""
    _write(Path(path), lambda: data, force)


def keep_dates(source: Path, output: Path) -> None:
    """Give a file the date of change of the photo that it was made of, by which albums are sorted."""
    with contextlib.suppress(OSError):
        told = source.stat()
        os.utime(output, ns=(told.st_atime_ns, told.st_mtime_ns))


def _write(path: Path, make: Callable[[], bytes], force: bool) -> None:
    if os.path.isdir(path):
        raise PhotoError(f"{path}: is a folder; give the name of a file")
    if os.path.exists(path) and not force:
        raise OutputExistsError(f"{path}: exists already; give another name, or --force to replace it")
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        aside.write_bytes(make())
        os.replace(aside, path)
    except FileNotFoundError:
        raise PhotoError(f"{path}: can't be written: there is no folder {path.parent}") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise PhotoError(f"{path}: can't be written: {reason}") from None
    finally:
        with contextlib.suppress(OSError):  # of a disk that can't be written to
            aside.unlink(missing_ok=True)


def _read(stream: io.BytesIO | io.BufferedReader, source: str, limits: Limits) -> Photo:
    start = stream.read(START_BYTES)
    if not start:
        raise PhotoError(f"{source}: is empty (0 bytes)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata is left out
        if "RAW" in limits.formats and is_raw(start, stream):
            return _read_raw(stream, source, limits)
        image = open_image(stream, start, source, limits)
        is_deep = deep.is_deep(image, start)
        try:
            photo = _from_image(image, source)
        except PhotoError as error:
            if image.format not in ("JPEG", "MPO"):
                raise
            if not limits.allow_truncated:
                raise PhotoError(f"{error}; --allow-truncated reads a JPEG as far as it goes") from None
            return _read_cut(stream, start, source, limits)
        if is_deep:
            stream.seek(0)
            array = deep.decode_deep(stream.read())
            if array is not None:
                whole = _with_channels(photo, upright(array, metadata.orientation(image)))
                # The two decoders must see the same picture; where they don't, the 8 bits of Pillow stand.
                if whole.pixels.shape == photo.pixels.shape and torch.allclose(
                    whole.pixels, photo.pixels, rtol=0.0, atol=DEEP_TOLERANCE
                ):
                    photo = whole
        return dataclasses.replace(_without_hidden(photo), notes=_notes(image))


def _notes(image: Image.Image) -> tuple[str, ...]:
    """Say what of a file is not in the photo."""
    told = []
    try:
        count = pictures_in(image)
    except Exception:  # Pillow's parsers raise nearly anything; the first picture is good all the same
        count = 1
    if count > 1:
        told.append(f"{count} pictures are in the file, and the first was taken")
    if (bits := image.info.get("bit_depth", 8)) > 8:  # of HEIC
        told.append(f"{bits} bits a channel were read as 8")
    return tuple(told)


def _read_raw(stream: io.BytesIO | io.BufferedReader, source: str, limits: Limits) -> Photo:
    photo = Photo(**_channels(decode_raw(stream, source, limits)), source=source)
    height, width = photo.pixels.shape[1:]
    try:
        found = exif.read(stream)
    except ValueError:  # none of TIFF's kin
        return photo
    size = (height, width) if found.orientation >= 5 else (width, height)
    said = exif.tidied(exif.upright(found, found.orientation, *size), width, height)
    return dataclasses.replace(photo, exif=exif.to_bytes(said))


def _read_cut(stream: io.BytesIO | io.BufferedReader, start: bytes, source: str, limits: Limits) -> Photo:
    """Read a JPEG that is cut short: with an end put to it, libjpeg repeats the last colours for what is missing."""
    stream.seek(0)
    image = open_image(io.BytesIO(stream.read() + JPEG_END), start, source, limits)
    photo = photo_from_image(image, source)
    array = np.asarray(image)
    missing = int(np.logical_and.accumulate((array == array[-1:]).reshape(len(array), -1).all(axis=1)[::-1]).sum())
    share = f": about {100 * missing / len(array):.0f} % of it are missing" if missing >= JPEG_BLOCK else ""
    return dataclasses.replace(photo, notes=(f"the file is cut short{share}",))


@dataclass(frozen=True)
class _Said:
    """What a file says, as it stands."""

    exif: exif.Exif | None
    beside: Beside


@dataclass(frozen=True)
class _Turn:
    """How a picture was turned upright."""

    orientation: int  # as its pixels were stored
    size: tuple[int, int]  # likewise: width, height


def _said(image: Image.Image) -> _Said:
    """Read what the file of a picture that is not loaded yet says, and leave it where it stood."""
    stream = getattr(image, "fp", None)
    try:
        place = None if stream is None else stream.tell()
    except (AttributeError, OSError, ValueError):  # closed, or no file
        stream = place = None
    said = _Said(metadata.read_exif(image, stream), beside.read_beside(image, stream))
    if stream is not None:
        stream.seek(place)
    return said


def _with_said(photo: Photo, image: Image.Image, turn: _Turn, said: _Said) -> Photo:
    """Add to a photo what the file of a loaded image says, so that it holds of the upright picture."""
    height, width = photo.pixels.shape[1:]
    orientation, size = turn.orientation, turn.size
    if image.format in ("TIFF", "HEIF"):  # is upright by now, and so is what Pillow says of it
        of_exif = 1 if said.exif is None else said.exif.orientation
        orientation = of_exif if image.format == "TIFF" else image.info.get("original_orientation") or 1
        size = (height, width) if orientation >= 5 else (width, height)
    found = None if said.exif is None else exif.tidied(exif.upright(said.exif, orientation, *size), width, height)
    dpi = metadata.resolution(image, said.exif)
    return dataclasses.replace(
        photo,
        icc=None if image.mode == "CMYK" else metadata.usable_icc(image.info.get("icc_profile")),
        exif=None if found is None else exif.to_bytes(found),
        dpi=dpi[::-1] if dpi and orientation >= 5 else dpi,
        xmp=xmp.read_xmp(image, orientation, size),
        beside=said.beside,
    )


def _with_channels(photo: Photo, array: Integer[np.ndarray, "h w c"]) -> Photo:
    return dataclasses.replace(photo, **_channels(array))


def _channels(array: Integer[np.ndarray, "h w c"]) -> dict[str, Any]:
    """Return upright pixels of 1 to 4 channels (alpha last) as fields of a photo."""
    whole = _from_integers(array)
    colours = 1 if array.shape[2] <= 2 else 3
    alpha = whole[colours:].contiguous() if array.shape[2] in (2, 4) else None
    pixels = whole[:colours].expand(3, -1, -1).contiguous()
    return {
        "pixels": pixels,
        "alpha": alpha,
        "bit_depth": 16 if array.dtype == np.uint16 else 8,
        "is_grey": colours == 1 or is_grey(pixels),
    }


def _from_integers(array: Integer[np.ndarray, "h w c"]) -> Float[Tensor, "c h w"]:
    top = np.float32(np.iinfo(array.dtype).max)
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32) / top)


def _to_integers(pixels: Float[Tensor, "c h w"], bit_depth: int) -> Integer[np.ndarray, "h w c"]:
    top = 2**bit_depth - 1
    array = pixels.detach().float().cpu().clamp(0.0, 1.0).mul(top).round().numpy()
    return np.ascontiguousarray(array.transpose(1, 2, 0), dtype=np.uint8 if bit_depth == 8 else np.uint16)


def encode_photo(photo: Photo, form: str) -> bytes:
    """Encode a photo as `write_photo` does; `form` is a value of FORMATS. The same photo gives the same bytes."""
    bit_depth = photo.bit_depth if form in ("PNG", "TIFF") else 8
    pixels, alpha = photo.pixels, photo.alpha
    if alpha is not None and form == "JPEG":
        pixels, alpha = pixels * alpha + (1.0 - alpha), None
    array = _to_integers(pixels, bit_depth)
    icc = photo.icc
    still_grey = photo.is_grey and bool((array == array[..., :1]).all())
    can_be_one = form != "WEBP" and not (bit_depth == 16 and alpha is not None)  # one channel is of use to the format
    if still_grey and can_be_one and (icc is None or metadata.icc_fits(icc, 1)):
        array = array[..., :1]
    if icc is not None and not metadata.icc_fits(icc, array.shape[2]):
        icc = None
    if alpha is not None:
        array = np.concatenate([array, _to_integers(alpha, bit_depth)], axis=2)
    most = metadata.JPEG_EXIF_BYTES if form == "JPEG" else None
    said = metadata.fit_exif(photo.exif, array.shape[1], array.shape[0], most) if photo.exif else None
    if form == "TIFF":
        return encode_tiff(array, icc, said, photo.dpi, photo.xmp, photo.beside.resources)
    if form == "PNG" and bit_depth == 16:
        return png.with_chunks(
            deep.encode_png16(array, icc, said, photo.dpi, photo.xmp), beside.png_chunks(photo.beside)
        )
    options: dict[str, Any] = {"icc_profile": icc, "dpi": photo.dpi, "exif": said} | _xmp_options(photo.xmp, form)
    if form != "PNG":
        options["quality"] = QUALITY
    if form == "JPEG":
        options |= {"subsampling": 0, "extra": beside.jpeg_segments(photo.beside)}
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    if form in ("HEIF", "AVIF"):
        return encode_modern(image, form, QUALITY, Metadata(icc, said, photo.xmp))
    out = io.BytesIO()
    image.save(out, form, **{name: value for name, value in options.items() if value is not None})
    return png.with_chunks(out.getvalue(), beside.png_chunks(photo.beside)) if form == "PNG" else out.getvalue()


def _xmp_options(packet: bytes | None, form: str) -> dict[str, Any]:
    """Say to Pillow where the packet goes; in a PNG it is a text chunk. [XMP, part 3]"""
    if packet is None:
        return {}
    if form != "PNG":
        return {"xmp": xmp.fit_xmp(packet, xmp.JPEG_BYTES) if form == "JPEG" else packet}
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode("utf-8"))
    return {"pnginfo": texts}


def _damaged(source: str, error: Exception) -> PhotoError:
    return PhotoError(f"{source}: is damaged or cut short: {str(error) or type(error).__name__}")
