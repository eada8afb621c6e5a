"""EXIF as it stands in a file: directories whose values are kept byte for byte and never read as text.

    JEITA CP-3451X, "Exchangeable image file format for digital still cameras: Exif", version 3.0  [Exif]
    TIFF, revision 6.0, and BigTIFF, in which EXIF is written                                      [TIFF 6.0]

Pillow takes the texts of EXIF for Latin-1 and writes them as ASCII; cameras and programs write UTF-8, Latin-1 or
Shift-JIS. Whatever they wrote goes into the new file as it came, in the byte order it came in.
"""

import io
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from keepface.image.places import turned
from keepface.image.stream import Stream

Order = str  # of bytes: '<' or '>'
HEAD = b"Exif\0\0"
MARKS = {b"II": "<", b"MM": ">"}
ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    129: 1,
}  # of a value, by kind
NUMBERS = {SHORT: "H", LONG: "I"}
ORIENTATION, X_RESOLUTION, Y_RESOLUTION = 0x0112, 0x011A, 0x011B
EXIF, GPS = 0x8769, 0x8825  # where the two directories below the main one begin
WIDTH, HEIGHT = 0xA002, 0xA003
SUBJECT_AREA, SUBJECT_LOCATION = 0x9214, 0xA214  # in pixels of the picture as it is stored [Exif, 4.6.6]
MAKER_NOTE, INTEROPERABILITY = 0x927C, 0xA005  # hold places in the old file: stale in any other
# Tags of TIFF that describe how one file stores its pixels, and what goes its own way: wrong in any other file.
STRUCTURE = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 292, 293, 297}
    | {301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 332, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517}
    | {518, 519, 520, 521, 529, 530, 531, 532, 700, 33723, 34377, 34675, EXIF, GPS}  # XMP, IPTC, Photoshop, ICC
)
OF_SENSORS = frozenset({33421, 33422, 37398, 37399, *range(50706, 51200), *range(52500, 52600)})  # Adobe's DNG, 1.7
_POINTERS = frozenset({EXIF, GPS})
_LEFT_OUT = STRUCTURE - _POINTERS

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Entry:
    """One value, or several of one kind."""

    kind: int  # [TIFF 6.0, "IFD entry"; Exif, 4.6.2]
    count: int
    data: bytes


@dataclass(frozen=True)
class Exif:
    """The main directory, and those of EXIF and GPS below it; thumbnails are left out."""

    order: Order = "<"
    main: Mapping[int, Entry] = field(default_factory=dict)
    below: Mapping[int, Mapping[int, Entry]] = field(default_factory=dict)  # by EXIF and GPS

    @property
    def orientation(self) -> int:
        """Return the orientation, 1 to 8; 1 where there is none or it makes no sense."""
        value = numbers(self.order, self.main.get(ORIENTATION))
        return value[0] if value and 1 <= value[0] <= 8 else 1


def read(stream: Stream) -> Exif:
    """Read the directories of a TIFF or BigTIFF, or of EXIF without its head; values that lie outside are left out.

    Raises:
        ValueError: it does not begin as one.
    """
    start = _start(stream)
    main, left = _directory(stream, start.place, stream.seek(0, io.SEEK_END), start)
    below = {}
    for tag in (EXIF, GPS):
        pointer = main.get(tag)
        if pointer is not None and (at := _pointer(start.order, pointer)) is not None:
            below[tag], left = _directory(stream, at, left, start)
    return Exif(start.order, _without(main, _POINTERS), below)


def read_tags(stream: Stream, tags: Collection[int]) -> dict[int, Entry]:
    """Read some values of the main directory of a TIFF, those that tell of its pixels too.

    Raises:
        ValueError: it does not begin as one.
    """
    start = _start(stream)
    others = frozenset(range(0x10000)) - frozenset(tags)
    return _directory(stream, start.place, stream.seek(0, io.SEEK_END), start, others)[0]


def from_bytes(data: bytes) -> Exif | None:
    """Read EXIF with or without its head; `None` where there is none that is sound."""
    try:
        found = read(io.BytesIO(data.removeprefix(HEAD)))
    except (ValueError, struct.error):
        return None
    return found if found.main or any(found.below.values()) else None


def to_bytes(exif: Exif) -> bytes | None:
    """Write EXIF with its head; `None` where nothing is in it."""
    if not exif.main and not any(exif.below.values()):
        return None
    return HEAD + mark(exif.order) + directories(exif.order, exif.main, exif.below)


def mark(order: Order) -> bytes:
    """Return the first 8 bytes of a TIFF whose main directory follows them."""
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)


def directories(
    order: Order, main: Mapping[int, Entry], below: Mapping[int, Mapping[int, Entry]], at: int = 8
) -> bytes:
    """Write a main directory that begins at byte `at`, and those below it after it."""
    entries = {**main, **{tag: Entry(LONG, 1, bytes(4)) for tag, inner in below.items() if inner}}
    place = at + len(_written(order, entries, at))
    bodies = []
    for tag, inner in below.items():
        if inner:
            entries[tag] = of_numbers(order, LONG, place)
            bodies.append(_written(order, inner, place))
            place += len(bodies[-1])
    return _written(order, entries, at) + b"".join(bodies)


def tidied(exif: Exif, width: int, height: int) -> Exif:
    """Leave out what holds of the old file alone, and say 1 for the orientation and the true size in pixels."""
    main = dict(exif.main)
    if ORIENTATION in main:
        main[ORIENTATION] = of_numbers(exif.order, SHORT, 1)
    inner = _without(exif.below.get(EXIF, {}), {MAKER_NOTE, INTEROPERABILITY})
    for tag, value in ((WIDTH, width), (HEIGHT, height)):
        if tag in inner:
            inner[tag] = of_numbers(exif.order, LONG, value)
    return replace(exif, main=_without(main, STRUCTURE | OF_SENSORS), below={**exif.below, EXIF: inner})


def upright(exif: Exif, orientation: int, width: int, height: int) -> Exif:
    """Turn the places in a picture with it, as `places.turned`; width and height are those of the stored picture."""
    main, inner = dict(exif.main), dict(exif.below.get(EXIF, {}))
    if orientation >= 5 and X_RESOLUTION in main and Y_RESOLUTION in main:
        main[X_RESOLUTION], main[Y_RESOLUTION] = main[Y_RESOLUTION], main[X_RESOLUTION]
    for tag in (SUBJECT_AREA, SUBJECT_LOCATION):
        values = numbers(exif.order, inner.get(tag))
        if len(values) not in (2, 3, 4):
            continue  # a middle, and a diameter or a width and a height
        sides = (values[2:] * 2)[:2] if values[2:] else (0, 0)
        box = (values[0] - sides[0] / 2, values[1] - sides[1] / 2, float(sides[0]), float(sides[1]))
        x, y, across, down = turned(box, orientation, float(width), float(height))
        middle = (x + across / 2, y + down / 2, *((across, down)[: len(values) - 2]))
        inner[tag] = of_numbers(exif.order, SHORT, *(min(max(round(value), 0), 0xFFFF) for value in middle))
    return replace(exif, main=main, below={**exif.below, EXIF: inner} if inner else exif.below)


def without_gps(exif: Exif) -> Exif:
    """Take out the directory of the place where a photo was taken."""
    return replace(exif, below=_without(exif.below, {GPS}))


def without_orientation(exif: Exif) -> Exif:
    """Take out the orientation."""
    return replace(exif, main=_without(exif.main, {ORIENTATION}))


def fit(exif: Exif, most: int) -> Exif:
    """Leave out the longest values until all is written in `most` bytes."""
    while len(to_bytes(exif) or b"") > most:
        groups = {0: exif.main, **exif.below}
        _, group, tag = max(
            (len(entry.data), name, tag) for name, inner in groups.items() for tag, entry in inner.items()
        )
        groups[group] = _without(groups[group], {tag})
        exif = replace(exif, main=groups.pop(0), below=groups)
    return exif


def numbers(order: Order, entry: Entry | None) -> tuple[int, ...]:
    """Return the values of an entry of whole numbers; of any other none."""
    if entry is None or entry.kind not in NUMBERS:
        return ()
    return struct.unpack(f"{order}{entry.count}{NUMBERS[entry.kind]}", entry.data)


def of_numbers(order: Order, kind: int, *values: int) -> Entry:
    """Make an entry of whole numbers, or of pairs of them for ratios."""
    letter = "I" if kind == RATIONAL else NUMBERS[kind]
    count = len(values) // 2 if kind == RATIONAL else len(values)
    return Entry(kind, count, struct.pack(f"{order}{len(values)}{letter}", *values))


@dataclass(frozen=True)
class _Start:
    order: Order
    place: int  # of the main directory
    is_big: bool


def _start(stream: Stream) -> _Start:
    stream.seek(0)
    first = stream.read(16)
    order = MARKS.get(first[:2])
    if order is None or len(first) < 8:
        raise ValueError("does not begin as TIFF")
    version, place = struct.unpack(f"{order}HI", first[2:8])
    if version != 43:
        return _Start(order, place, False)
    if len(first) < 16:
        raise ValueError("does not begin as BigTIFF")
    return _Start(order, struct.unpack(f"{order}Q", first[8:])[0], True)


def _directory(
    stream: Stream, place: int, length: int, start: "_Start", left_out: Collection[int] = _LEFT_OUT
) -> tuple[dict[int, Entry], int]:
    """Read a directory whose values hold no more than `length` bytes together; return what is left of them."""
    order, is_big = start.order, start.is_big
    found = {}
    for tag, kind, count, field_ in _rows(stream, order, place, is_big):
        size = BYTES.get(kind, 0) * count
        if not size or tag in left_out:
            continue
        data = field_[:size]
        if size > len(field_):
            if size > length:
                continue
            stream.seek(struct.unpack(f"{order}{'Q' if is_big else 'I'}", field_)[0])
            data = stream.read(size)
        if len(data) == size:
            length -= size
            found[tag] = Entry(kind, count, data)
    return found, length


def _rows(stream: Stream, order: Order, place: int, is_big: bool) -> Iterator[tuple[int, int, int, bytes]]:
    stream.seek(place)
    counted = "Q" if is_big else "H"
    first = stream.read(struct.calcsize(counted))
    if len(first) < struct.calcsize(counted):
        return
    length = 20 if is_big else 12
    table = stream.read(min(struct.unpack(f"{order}{counted}", first)[0], 0xFFFF) * length)
    for at in range(0, len(table) - length + 1, length):
        row = table[at : at + length]
        yield (
            *struct.unpack(f"{order}HH{'Q' if is_big else 'I'}", row[: 12 if is_big else 8]),
            row[12 if is_big else 8 :],
        )


def _pointer(order: Order, entry: Entry) -> int | None:
    if entry.count != 1 or len(entry.data) != 4:
        return None
    return int(struct.unpack(f"{order}I", entry.data)[0])


def _written(order: Order, entries: Mapping[int, Entry], at: int) -> bytes:
    place = at + 2 + 12 * len(entries) + 4
    rows, values = [struct.pack(f"{order}H", len(entries))], []
    for tag in sorted(entries):
        entry = entries[tag]
        value = entry.data
        if len(value) > 4:
            values.append(value + b"\0" * (len(value) % 2))
            value = struct.pack(f"{order}I", place)
            place += len(values[-1])
        rows.append(struct.pack(f"{order}HHI", tag, entry.kind, entry.count) + value.ljust(4, b"\0"))
    return b"".join([*rows, bytes(4), *values])


def _without(group: Mapping[int, Kept], tags: Collection[int]) -> dict[int, Kept]:
    return {tag: entry for tag, entry in group.items() if tag not in tags}
