"""Chunks of a PNG that say something beside the pixels: texts, and how its colours are meant.

W3C, "Portable Network Graphics (PNG) Specification", 3rd edition  [PNG]
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

from keepface.image.stream import Stream

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = len(SIGNATURE) + 25  # of signature and IHDR, behind which other chunks may stand
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
COLOURS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
KEPT = (*COLOURS, *TEXTS, b"tIME")
EXIF = b"eXIf"
MOST_BYTES = 4_000_000  # ours: of one chunk that is kept, packed and unpacked
PROFILE = b"Raw profile type "  # ImageMagick's way to put EXIF, IPTC and XMP into texts
XMP = b"XML:com.adobe.xmp"
COMMENT = "Comment"

Chunk = tuple[bytes, bytes]  # type and data


def kept_chunks(stream: Stream) -> tuple[Chunk, ...]:
    """Take the chunks that are written again as they are; texts that hold other metadata go their own ways."""
    return tuple(
        chunk for chunk in _chunks(stream, KEPT) if chunk[0] not in TEXTS or not _goes_elsewhere(_keyword(chunk))
    )


def exif_block(stream: Stream) -> bytes | None:
    """Return the EXIF of a PNG, wherever it stands."""
    own = next((body for _, body in _chunks(stream, (EXIF,))), None)
    return own or _profile(stream, (b"exif", b"APP1"))


def iptc_block(stream: Stream) -> bytes | None:
    """Return the block of resources that a text holds; of IPTC alone, what it holds."""
    return _profile(stream, (b"iptc", b"8bim"))


def iptc_chunk(block: bytes) -> Chunk:
    """Write a block of resources as such a text."""
    digits = block.hex()
    rows = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\niptc\n{len(block):8d}\n{rows}\n".encode("ascii")
    return b"zTXt", PROFILE + b"iptc\0\0" + zlib.compress(text)


def text_of(chunk: Chunk) -> tuple[str, str]:
    """Return keyword and text of a text chunk; what is damaged is empty. [PNG, 11.3.3]"""
    kind, data = chunk
    keyword, _, rest = data.partition(b"\0")
    encoding = "latin-1"
    if kind == b"zTXt":
        rest = _unpacked(rest[1:])
    elif kind == b"iTXt":
        encoding, is_packed = "utf-8", rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]
        rest = _unpacked(rest) if is_packed else rest
    return keyword.decode("latin-1"), rest.decode(encoding, "replace")


def text_chunk(keyword: str, text: str) -> Chunk:
    """Write a text as UTF-8. [PNG, 11.3.3.4]"""
    return b"iTXt", keyword.encode("latin-1", "replace") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")


def with_chunks(data: bytes, chunks: Iterable[Chunk]) -> bytes:
    """Put chunks into an encoded PNG, behind its header; sRGB beside a profile is left out. [PNG, 11.3.2.5]"""
    kinds = {kind for kind, _ in _walk(data)}
    left_out = {b"sRGB"} if b"iCCP" in kinds else set()
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
        if kind not in left_out
    )
    return data[:HEADER_END] + added + data[HEADER_END:]


def _profile(stream: Stream, names: Sequence[bytes]) -> bytes | None:
    wanted = [PROFILE + name for name in names]
    for chunk in _chunks(stream, TEXTS):
        if _keyword(chunk) in wanted:
            try:
                return bytes.fromhex("".join(text_of(chunk)[1].split("\n")[3:]))
            except ValueError:
                return None
    return None


def _goes_elsewhere(keyword: bytes) -> bool:
    return keyword == XMP or keyword.startswith(PROFILE)


def _keyword(chunk: Chunk) -> bytes:
    return chunk[1].partition(b"\0")[0]


def _unpacked(data: bytes) -> bytes:
    """Unpack a text; nothing where it is damaged or would be too long."""
    packer = zlib.decompressobj()
    try:
        text = packer.decompress(data, MOST_BYTES)
    except zlib.error:
        return b""
    return b"" if packer.unconsumed_tail else text


def _chunks(stream: Stream, kinds: Sequence[bytes]) -> Iterator[Chunk]:
    """Go through the sound chunks of some types, up to the end or to what is cut short."""
    length = stream.seek(0, 2)
    at = len(SIGNATURE)
    while at + 12 <= length:
        stream.seek(at)
        size, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"IEND" or at + 12 + size > length:
            return
        if kind in kinds and size <= MOST_BYTES:
            body = stream.read(size)
            if stream.read(4) == struct.pack(">I", zlib.crc32(kind + body)):
                yield kind, body
        at += 12 + size


def _walk(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Go through the chunks of a sound PNG: type, and where it begins."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, at
        at += 12 + size
