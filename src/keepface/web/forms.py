"""Forms with files, read as they come in: files go into the private folder under names of ours, within the limits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from keepface.web.refusals import NotSentError, TooMuchError, UnfitError, WrongKindError
from keepface.web.settings import MIB
from keepface.web.uploads import Filed

FIELD_BYTES = 65_536  # of a part that is no file
HEADER_BYTES = 4_096  # of a part's headers
BOUNDARY_LENGTH = 70  # letters of a boundary [RFC 2046, Sec. 5.1.1]


@dataclass(frozen=True)
class FormLimits:
    """What a form may hold: bytes of a file and of all, how many files, and seconds of silence until it is given up."""

    file_bytes: int
    total_bytes: int
    files: int
    silence_s: float


@dataclass(frozen=True, eq=False)
class Sent:
    """What a form held."""

    fields: dict[str, str]
    files: dict[str, tuple[Filed, ...]]


async def read_form(request: Request, tray: Path, limits: FormLimits, parts: Mapping[str, bool]) -> Sent:
    """Read a form into files below `tray`; `parts` names what may be in it, and tells whether that is a file.

    Raises:
        WrongKindError: no form with files.
        NotSentError: it breaks off, or can't be read.
        TooMuchError: more bytes or files than the limits allow.
        UnfitError: a part that is not expected, or twice what there is once.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise WrongKindError("the body must be multipart/form-data")
    if not 0 < len(boundary) <= BOUNDARY_LENGTH:
        raise NotSentError("the form's boundary is missing, or longer than a boundary may be")
    reader = _Reader(tray, limits, parts)
    parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
    try:
        async for chunk in _spoken(request.stream(), limits.silence_s):
            reader.count(len(chunk))
            await run_in_threadpool(parser.write, chunk)
        parser.finalize()
        return reader.sent()
    except FormParserError:
        raise NotSentError("the form can't be read: it is damaged") from None
    finally:
        reader.close()


async def _spoken(stream: AsyncIterator[bytes], silence_s: float) -> AsyncIterator[bytes]:
    """Give what comes in, until it has been silent for too long."""
    while True:
        try:
            async with asyncio.timeout(silence_s):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise NotSentError(f"nothing came for {silence_s:g} seconds") from None
        except ClientDisconnect:
            raise NotSentError("the call broke off") from None
        yield chunk


class _Reader:
    """Takes a form's parts one after the other."""

    def __init__(self, tray: Path, limits: FormLimits, parts: Mapping[str, bool]) -> None:
        self._tray, self._limits, self._parts = tray, limits, parts
        self._fields: dict[str, str] = {}
        self._files: dict[str, tuple[Filed, ...]] = {}
        self._total, self._count, self._is_whole = 0, 0, False
        self._begin()

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def count(self, more: int) -> None:
        self._total += more
        if self._total > self._limits.total_bytes:
            raise TooMuchError(f"more than {self._limits.total_bytes / MIB:g} MiB in one call; send it in parts")

    def sent(self) -> Sent:
        if not self._is_whole:
            raise NotSentError("the form breaks off before its end")
        return Sent(self._fields, self._files)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._header, self._value, self._headers_size = bytearray(), bytearray(), 0
        self._disposition = b""
        self._name, self._file_name, self._text = "", "", bytearray()
        self._file: BinaryIO | None = None
        self._path, self._size = self._tray, 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header(end - start)

    def _check_header(self, more: int) -> None:
        self._headers_size += more
        if self._headers_size > HEADER_BYTES:
            raise NotSentError(f"a part of the form has more than {HEADER_BYTES} bytes of headers")

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        expected = self._parts.get(self._name)
        if expected is None:
            raise UnfitError(f"there is a part that is not expected; parts are {', '.join(self._parts)}", "form")
        if expected != (b"filename" in options):
            raise UnfitError(f"must be {'a file' if expected else 'a text and no file'}", self._name)
        if not expected:
            if self._name in self._fields:
                raise UnfitError("is there twice", self._name)
            return
        self._count += 1
        if self._count > self._limits.files:
            raise TooMuchError(f"more than {self._limits.files} files in one call; send them in parts", self._name)
        self._file_name = options[b"filename"].decode("utf-8", "replace")
        self._path = self._tray / f"{self._count:06}"
        self._file = self._path.open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is None:
            if self._size > FIELD_BYTES:
                raise TooMuchError(f"is longer than {FIELD_BYTES} bytes", self._name)
            self._text += data[start:end]
            return
        if self._size > self._limits.file_bytes:
            raise TooMuchError(f"a file is larger than {self._limits.file_bytes / MIB:g} MiB", self._name)
        self._file.write(data[start:end])

    def _end(self) -> None:
        if self._file is None:
            try:
                self._fields[self._name] = self._text.decode("utf-8")
            except UnicodeDecodeError:
                raise UnfitError("is no text in UTF-8", self._name) from None
            return
        self._file.close()
        self._file = None
        if self._size or self._file_name:  # browsers send a nameless nothing where no file was chosen
            self._files[self._name] = (*self._files.get(self._name, ()), Filed(self._file_name, self._path))

    def _finish(self) -> None:
        self._is_whole = True
