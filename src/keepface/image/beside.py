"""What a picture file says beside its pixels, apart from EXIF, XMP, profile and resolution."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from keepface.image import iptc, png
from keepface.image.exif import read_tags
from keepface.image.iptc import SEGMENT_BYTES
from keepface.image.stream import Stream

IPTC_TAG, PHOTOSHOP_TAG = 33723, 34377  # of TIFF


@dataclass(frozen=True)
class Beside:
    """Texts and captions, as bytes of the file they came from."""

    resources: bytes | None = None  # IPTC captions and keywords, as iptc.py keeps them
    comments: tuple[bytes, ...] = ()  # of a JPEG; in no encoding that one could know
    chunks: tuple[png.Chunk, ...] = ()  # of a PNG: texts, gamma and primaries


def read_beside(image: Image.Image, stream: Stream | None) -> Beside:
    """Read what a picture's file says; `stream` is the file, where it is at hand. What is damaged is left out."""
    try:
        if image.format in ("JPEG", "MPO"):
            segments = getattr(image, "applist", [])
            comments = tuple(data for name, data in segments if name == "COM")
            return Beside(iptc.from_segments(data for name, data in segments if name == "APP13"), comments)
        if image.format == "PNG" and stream is not None:
            return Beside(_block(png.iptc_block(stream)), chunks=png.kept_chunks(stream))
        if image.format == "TIFF" and stream is not None:
            found = {tag: entry.data for tag, entry in read_tags(stream, (IPTC_TAG, PHOTOSHOP_TAG)).items()}
            block = iptc.kept(found.get(PHOTOSHOP_TAG, b"")) or b""
            has_iptc = iptc.iim(block) is not None
            return Beside((b"" if has_iptc else iptc.of_iim(found.get(IPTC_TAG, b"")) or b"") + block or None)
    except (OSError, ValueError):
        pass
    return Beside()


def without_gps(beside: Beside) -> Beside:
    """Leave out texts that give coordinates, as ImageMagick writes them."""
    return replace(beside, chunks=tuple(chunk for chunk in beside.chunks if b"gps" not in chunk[1][:80].lower()))


def png_chunks(beside: Beside) -> list[png.Chunk]:
    """Return all as chunks of a PNG."""
    chunks = list(beside.chunks)
    chunks += [png.text_chunk(png.COMMENT, _text(comment)) for comment in beside.comments]
    return chunks + ([] if beside.resources is None else [png.iptc_chunk(beside.resources)])


def jpeg_segments(beside: Beside) -> bytes:
    """Return all but gamma and primaries as segments of a JPEG; the texts of a PNG as comments."""
    comments = [*beside.comments, *(_comment(*png.text_of(chunk)) for chunk in texts(beside.chunks))]
    parts = [b"" if beside.resources is None else iptc.segments(beside.resources)]
    for comment in comments:
        cut = comment[:SEGMENT_BYTES]
        parts.append(b"\xff\xfe" + (len(cut) + 2).to_bytes(2, "big") + cut)
    return b"".join(parts)


def texts(chunks: Sequence[png.Chunk]) -> list[png.Chunk]:
    """Return those that are texts."""
    return [chunk for chunk in chunks if chunk[0] in png.TEXTS]


def not_kept(beside: Beside, form: str) -> tuple[str, ...]:
    """Name what a format (a value of endings.FORMATS) has no place for."""
    has_colours = any(kind in png.COLOURS[:2] for kind, _ in beside.chunks)
    lost = {
        "IPTC captions and keywords": beside.resources is not None and form not in ("PNG", "JPEG", "TIFF"),
        "comments": bool(beside.comments or texts(beside.chunks)) and form not in ("PNG", "JPEG"),
        "gamma and primaries": has_colours and form != "PNG",
    }
    return tuple(what for what, is_lost in lost.items() if is_lost)


def _block(data: bytes | None) -> bytes | None:
    return None if data is None else iptc.kept(data) or iptc.of_iim(data)


def _text(comment: bytes) -> str:
    try:
        return comment.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        return comment.rstrip(b"\0").decode("latin-1")


def _comment(keyword: str, text: str) -> bytes:
    return (text if keyword == png.COMMENT else f"{keyword}: {text}").encode("utf-8", "replace")
