"""Malformed and hostile uploads, and the statuses that each may be answered with; all made here, always the same."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from keepface.errors import TooLargeError

from ..image.test_malformed import FILES, Refusal, chunk, half, jpeg_sized, noisy, picture, png, saved

TAKEN, BAD, LARGE, OTHER, UNFIT = 202, 400, 413, 415, 422
BOUNDARY = "b0undary"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="x.png"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
FORM = f"multipart/form-data; boundary={BOUNDARY}"
GOOD = saved(picture(), "PNG")
NAMES = (
    "../../x.png",
    "..\\..\\x.png",
    "/etc/cron.d/x",
    "C:\\Windows\\System32\\x.dll",
    "//server/share/x.png",
    "file:///etc/passwd",
    "https://evil.example/x.png",
    "~/.ssh/authorized_keys",
    "$HOME/.profile",
    "$(touch x).png",
    "`touch x`.png",
    "; rm -rf x.png",
    "| x",
    "%2e%2e%2fx.png",
    "..%c0%afx.png",
    "....//....//x.png",
    "x.png/../../y.png",
    "con",
    "NUL.png",
    "x.png:stream",
    ".htaccess",
    ".",
    "..",
    "/",
    "\\",
    " ",
    "-rf",
    "x" * 3000,
    "x" * 300 + ".png",
    "x.png.exe",
    "x.png\u0000.exe",
    "\u202egnp.exe",
    "x\u2028y.png",
    "<script>alert(1)</script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "'; DROP TABLE photos; --",
    "{{7*7}}.png",
    "%s%n%x.png",
    "祖母.png",
    "🙂" * 80 + ".png",
    "a\u0301\u0301\u0301.png",
    "x.svg",
    "x.zip",
    "library.json",
    "manifest.sqlite",
)


@dataclass(frozen=True)
class Attack:
    """One call, and the statuses that it may be answered with."""

    name: str
    body: bytes
    statuses: tuple[int, ...]
    kind: str = FORM
    path: str = "/v1/restorations"
    headers: dict[str, str] = field(default_factory=dict)


def attacks() -> Iterator[Attack]:
    """Make them all."""
    yield from _odd_files()
    yield from _named()
    for name, (data, *statuses) in {**_archives(), **_pictures()}.items():
        yield Attack(name, form(data), tuple(statuses))
    for name, (body, *statuses) in _forms().items():
        yield Attack(name, body, tuple(statuses))
    for name, (text, *statuses) in _options().items():
        yield Attack(f"options {name}", form(GOOD, options=text), tuple(statuses))
    yield from _calls()


def form(
    data: bytes, name: bytes = b"x.png", options: bytes = b'{"everybody": false}', part: bytes = b"photo"
) -> bytes:
    """Write a form by hand, so that nothing in it is made better on its way."""
    edge = f"--{BOUNDARY}\r\n".encode()
    head = b'Content-Disposition: form-data; name="%b"; filename="%b"\r\nContent-Type: image/png\r\n\r\n' % (part, name)
    more = b'Content-Disposition: form-data; name="options"\r\n\r\n' + options
    return edge + head + data + b"\r\n" + edge + more + TAIL


def _odd_files() -> Iterator[Attack]:
    for name, (make, answer) in FILES.items():
        statuses: tuple[int, ...] = (TAKEN,)
        if isinstance(answer, Refusal):
            is_no_picture = "no picture of a type" in answer.text or "HEIC" in answer.text
            statuses = (LARGE,) if answer.kind is TooLargeError else (OTHER,) if is_no_picture else (UNFIT,)
            if "|" in answer.text:
                statuses = (LARGE, OTHER, UNFIT)
        yield Attack(f"file {name!r}", form(make()), statuses)


def _named() -> Iterator[Attack]:
    for name in NAMES:
        written = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode()
        yield Attack(f"name {name[:30]!r} of {len(name)} letters", form(GOOD, written), (TAKEN,))


def _archives() -> dict[str, tuple[bytes, int]]:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, ("open('pickled', 'w')",))

    packed, bomb, tarred = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("../../escaped.png", GOOD)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros.png", bytes(50 << 20))
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped.png"))
    found = {
        "pickle": pickle.dumps(Evil()),
        "pickle of protocol 0": pickle.dumps(Evil(), 0),
        "zip that climbs": packed.getvalue(),
        "zip bomb": bomb.getvalue(),
        "tar that climbs": tarred.getvalue(),
        "gzip bomb": gzip.compress(bytes(50 << 20), mtime=0),
        "drawing with a script": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "drawing that reads": b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        "billion laughs": b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
        "page": b"<!doctype html><script>fetch('/v1/people')</script>",
        "php": b"<?php system($_GET['x']); ?>",
        "shell": b"#!/bin/sh\ntouch shelled\n",
        "elf": b"\x7fELF\2\1\1" + bytes(200),
        "exe": b"MZ" + bytes(200),
        "class": b"\xca\xfe\xba\xbe" + bytes(100),
        "wasm": b"\0asm\1\0\0\0" + bytes(50),
        "sqlite": b"SQLite format 3\0" + bytes(200),
        "safetensors": struct.pack("<Q", 2) + b"{}",
        "safetensors of an endless header": struct.pack("<Q", 2**63) + b"{}",
        "numpy": b"\x93NUMPY\1\0" + bytes(100),
        "mp4": b"\0\0\0\x20ftypisom" + bytes(100),
        "mp3": b"ID3\4\0\0\0" + bytes(100),
        "ps that runs": b"%!PS\n(x) (w) file\n",
        "pdf that runs": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>",
        "xcf": b"gimp xcf v011\0" + bytes(100),
        "jpeg xl": b"\xff\x0a" + bytes(100),
        "dds": b"DDS " + bytes(200),
        "fits": b"SIMPLE  =                    T" + bytes(200),
        "blp": b"BLP2" + bytes(200),
        "im": b"Image type: x\r\n" + bytes(200),
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(100),
        "mic": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "lnk": b"L\0\0\0\1\x14\2\0" + bytes(100),
        "text of another alphabet": "фото".encode("utf-16"),
        "a mark alone": b"\xef\xbb\xbf",
    }
    return {f"no picture: {name}": (data, OTHER) for name, data in found.items()}


def _pictures() -> dict[str, tuple[bytes, ...]]:
    loop = b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0"
    long_exif, deep = Image.Exif(), Image.Exif()
    long_exif[0x010E] = "x" * 60_000
    deep[0x9286] = b"\xff" * 500
    endless = bytearray(saved(picture(), "TIFF"))
    directory = struct.unpack("<I", endless[4:8])[0]
    count = struct.unpack("<H", endless[directory : directory + 2])[0]
    endless[directory + 2 + 12 * count :][:4] = b""
    endless[directory + 2 + 12 * count : directory + 6 + 12 * count] = struct.pack("<I", directory)  # leads to itself
    grow = zlib.compress(bytes(30 << 20), 9)
    zipped = io.BytesIO(GOOD)
    with zipfile.ZipFile(zipped, "a") as more:
        more.writestr("../../escaped", "x")
    rng = np.random.default_rng(5)
    torn = {f"jpeg torn at byte {at}": half("JPEG")[:at] for at in (3, 4, 11, 100, 400)}
    flipped = {}
    for number in range(12):
        data = bytearray(saved(noisy(), ("JPEG", "PNG", "WEBP", "TIFF")[number % 4]))
        for place in rng.integers(12, len(data), 40):
            data[place] = rng.integers(256)
        flipped[f"flipped bytes, {number}"] = bytes(data)
    good = {
        "picture and zip in one": zipped.getvalue(),
        "picture and script in one": GOOD + b"<script>alert(1)</script>",
        "picture and program in one": saved(picture(), "JPEG") + b"\x7fELF" + bytes(100),
        "picture with a script in its comment": saved(picture(), "GIF", comment=b"<script>alert(1)</script>"),
        "long exif": saved(picture(), "JPEG", exif=long_exif),
        "odd exif": saved(picture(), "JPEG", exif=deep),
        "exif of zeros": saved(picture(), "JPEG", exif=b"Exif\0\0" + bytes(100)),
        "exif that leads to itself": saved(picture(), "JPEG", exif=loop),
        "xmp that reads": saved(picture(), "PNG", pnginfo=_text('<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/x">]>')),
        "tiff that leads to itself": bytes(endless),
    }  # fmt: skip
    either = {
        "profile bomb": png(32, 24, 8, 2, bytes(97) * 24, chunk(b"iCCP", b"x\0\0" + grow)),
        "text bomb": png(32, 24, 8, 2, bytes(97) * 24, chunk(b"iTXt", b"x\0\1\0\0\0" + grow)),
        "pixel bomb": png(32, 24, 8, 2, bytes(60 << 20)),
        "bitmap of no size": b"BM" + bytes(52),
        "bitmap of a negative size": b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, -5, -5, 1, 24) + bytes(24),
        "gif that is a script": b"GIF89a/*" + b"*/=alert(1);//" + bytes(20),
        "webp of a wrong length": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(20),
        "tiff of no directory": b"II*\0\xff\xff\xff\xff",
        "tiff of a thousand directories": b"MM\0*\0\0\0\x08" + struct.pack(">H", 65535) + bytes(2000),
        "tiff that claims gigabytes": b"II*\0\x08\0\0\0\x01\0\x00\x01\x04\0\1\0\0\0\xff\xff\xff\x7f\0\0\0\0",
        **torn,
        **flipped,
    }
    large = {
        "bitmap bomb": b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24) + bytes(24),
        "jpeg of 4 gigapixels": jpeg_sized(65_500, 65_500),
        "tall": png(1, 70_000_000, 8, 0, b""),
    }
    hollow = {  # of types that are read, and nothing behind their first bytes
        "avif": b"\0\0\0\x20ftypavif" + bytes(100),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    }
    return (
        {f"picture: {name}": (data, TAKEN) for name, data in good.items()}
        | {f"hollow picture: {name}": (data, UNFIT) for name, data in hollow.items()}
        | {f"picture: {name}": (data, TAKEN, LARGE, OTHER, UNFIT) for name, data in either.items()}
        | {f"bomb: {name}": (data, LARGE) for name, data in large.items()}
    )


def _text(value: str) -> object:
    from PIL import PngImagePlugin

    made = PngImagePlugin.PngInfo()
    made.add_itxt("XML:com.adobe.xmp", value)
    return made


def _forms() -> dict[str, tuple[bytes, ...]]:
    whole = form(GOOD)
    cut = {f"form cut at {share} %": (whole[: len(whole) * share // 100], BAD) for share in (1, 20, 50, 80, 95, 99)}
    part = b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data; "
    huge = b"X-Huge: " + b"x" * 20_000 + b"\r\n"
    many = b"".join(b"X-%d: y\r\n" % number for number in range(2000))
    return cut | {
        "form of nothing": (b"", BAD),
        "form of an end alone": (TAIL, BAD, UNFIT),
        "form of zeros": (bytes(5000), BAD),
        "form of noise": (np.random.default_rng(3).bytes(5000), BAD),
        "form of another boundary": (whole.replace(BOUNDARY.encode(), b"other"), BAD),
        "form without a photo": (form(GOOD, part=b"references"), UNFIT),
        "form with a photo too many": (HEAD + GOOD + b"\r\n" + form(GOOD), UNFIT),
        "form with an unknown part": (form(GOOD, part=b"passwd"), UNFIT),
        "form with a part without a name": (part + b'filename="x"\r\n\r\nx' + TAIL, UNFIT),
        "form with a part without a head": (b"--" + BOUNDARY.encode() + b"\r\n\r\nx" + TAIL, UNFIT),
        "form with text for a photo": (part + b'name="photo"\r\n\r\nhello' + TAIL, UNFIT),
        "form with a file for options": (part + b'name="options"; filename="x"\r\n\r\n{}' + TAIL, UNFIT),
        "form with options twice": (part + b'name="options"\r\n\r\n{}\r\n' + whole, UNFIT),
        "form with options of 1 MB": (form(GOOD, options=b" " * (1 << 20)), LARGE),
        "form with options that are no text": (form(GOOD, options=b"\xff\xfe\x80"), UNFIT),
        "form with a huge head": (part + b'name="photo"; filename="x"\r\n' + huge + b"\r\nx" + TAIL, BAD),
        "form with many heads": (part + b'name="photo"; filename="x"\r\n' + many + b"\r\nx" + TAIL, BAD),
        "form with a long name of a file": (form(GOOD, b"x" * 5000), BAD),
        "form with a huge name": (part + b'name="' + b"x" * 20_000 + b'"\r\n\r\nx' + TAIL, BAD),
        "form with a line end in a head": (part + b'name="photo\r\n"; filename="x"\r\n\r\nx' + TAIL, BAD, UNFIT),
        "form with a name twice": (part + b'name="photo"; name="options"; filename="x"\r\n\r\nx' + TAIL, UNFIT),
        "form with lines of another kind": (whole.replace(b"\r\n", b"\n"), BAD),
        "form with a file of 5 MB": (form(GOOD + bytes(5 << 20)), LARGE),
        "form with 40 files": (b"".join([(HEAD + GOOD + b"\r\n") for _ in range(40)]) + whole, LARGE),
        "form in a form": (HEAD + whole + TAIL, OTHER, BAD, UNFIT),
        "form with a nameless nothing": (part + b'name="photo"; filename=""\r\n\r\n' + TAIL, UNFIT),
        "form with words after its end": (whole + b"GET /v1/people HTTP/1.1\r\n\r\n" * 50, TAKEN, BAD),
    }  # fmt: skip


def _options() -> dict[str, tuple[bytes, int]]:
    refused = {
        "nothing": b"",
        "of a list": b"[]",
        "of a number": b"1",
        "of null": b"null",
        "cut short": b'{"steps": ',
        "nested deeply": b'{"only": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        "of a million digits": b'{"seed": ' + b"9" * 60_000 + b"}",
        "not a number": b'{"fidelity": NaN}',
        "endless": b'{"scale": Infinity}',
        "too large": b'{"scale": 1e308}',
        "negative": b'{"steps": -1}',
        "a word for a number": b'{"steps": "twenty"}',
        "a list for a number": b'{"seed": [1]}',
        "a truth for a list": b'{"only": true}',
        "unknown": b'{"__class__": "x"}',
        "that would pollute": b'{"__proto__": {"everybody": false}}',
        "max_pixels": b'{"max_pixels": 1000000000000}',
        "a path for a method": b'{"method": "../../faceme"}',
        "a method that there is not": b'{"everybody": false, "method": "magic"}',
        "lone surrogate": b'{"method": "\\ud800"}',
        "too many names": json.dumps({"only": ["x"] * 101}).encode(),
        "a long name": json.dumps({"only": ["x" * 101]}).encode(),
        "somebody unknown": b'{"everybody": false, "knobs": [{"who": "anna", "steps": 3}]}',
        "candidates without end": b'{"candidates": 100000}',
    }
    found: dict[str, tuple[bytes, int]] = {name: (text, UNFIT) for name, text in refused.items()}
    found["twice the same"] = (b'{"everybody": true, "everybody": false}', TAKEN)
    found["a person that there is not"] = (b'{"person": "../../library"}', 404)
    found["everybody of nobody"] = (b'{"everybody": true}', 409)
    return found


def _calls() -> Iterator[Attack]:
    whole = form(GOOD)
    kinds = {
        "no type": "",
        "json": "application/json",
        "a plain form": "application/x-www-form-urlencoded",
        "text": "text/plain",
        "mixed": f"multipart/mixed; boundary={BOUNDARY}",
        "a type of noise": "\x7f;;;=",
    }
    for name, kind in kinds.items():
        yield Attack(f"body of {name}", whole, (OTHER,), kind)
    for name, boundary in (("no", ""), ("an empty", "; boundary="), ("a long", "; boundary=" + "x" * 5000)):
        yield Attack(f"{name} boundary", whole, (BAD,), f"multipart/form-data{boundary}")
    yield Attack("boundary in quotes", whole, (TAKEN,), f'multipart/form-data; boundary="{BOUNDARY}"')
    yield Attack(
        "a body said to be packed", gzip.compress(whole, mtime=0), (BAD,), headers={"content-encoding": "gzip"}
    )
    yield Attack("a length that is too long", whole, (LARGE,), headers={"content-length": "99999999999"})
    yield Attack("a length that is a word", whole, (BAD,), headers={"content-length": "many"})
    yield Attack("a foreign host", whole, (403,), headers={"host": "evil.example"})
    yield Attack("a foreign page", whole, (403,), headers={"origin": "https://evil.example"})
    for path in ("/v1/albums", "/v1/people"):
        yield Attack(f"{path} of nothing", b"", (BAD,), path=path)
        yield Attack(f"{path} of another part", form(GOOD, part=b"photo"), (UNFIT,), path=path)
    for name in ("../anna", "an\0na", "", "\u202eanna", "-rf", "x" * 200, "a/b"):
        part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'.encode()
        files = form(GOOD, part=b"photos").partition(b"\r\n--")[0] + TAIL
        yield Attack(f"a person called {name[:20]!r}", part + files, (UNFIT,), path="/v1/people")
    for name, body in {"nothing": b"", "noise": b"\xff{", "a list": b"[]", "nested": b"[" * 30_000}.items():
        yield Attack(f"a training of {name}", body, (UNFIT, BAD), "application/json", "/v1/trainings")
    yield Attack("a training of 1 MB", bytes(1 << 20), (LARGE,), "application/json", "/v1/trainings")
