"""Forms as they come in: piece by piece, cut anywhere, silent, or broken off."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from keepface.errors import KeepfaceError
from keepface.web.desk import Desk
from keepface.web.forms import FormLimits, Sent, read_form
from keepface.web.refusals import NotSentError, QueueFullError, TooMuchError, status_of

from .conftest import Servers
from .hostile import BOUNDARY, FORM, GOOD, form

LIMITS = FormLimits(file_bytes=10_000, total_bytes=50_000, files=3, silence_s=5.0)
PARTS = {"photo": True, "options": False}


def read(pieces: Iterable[Any], tray: Path, limits: FormLimits = LIMITS) -> Sent:
    """Read a form whose pieces come one by one; a number is silence in seconds, `None` ends the call."""
    waiting = list(pieces)

    async def receive() -> dict[str, Any]:
        piece = waiting.pop(0) if waiting else b""
        if isinstance(piece, float):
            await asyncio.sleep(piece)
            piece = b""
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def run() -> Sent:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", FORM.encode())]}
        return await read_form(Request(scope, receive), tray, limits, PARTS)

    return asyncio.run(run())


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_a_form_is_the_same_in_whatever_pieces_it_comes(size: int, tmp_path: Path) -> None:
    whole = form(GOOD, "Großmutter.png".encode(), b'{"seed": 3}')
    sent = read([whole[at : at + size] for at in range(0, len(whole), size)], tmp_path)
    assert sent.fields == {"options": '{"seed": 3}'}
    ((photo,),) = sent.files.values()
    assert (photo.name, photo.data) == ("Großmutter.png", GOOD)
    assert [path.name for path in tmp_path.iterdir()] == ["000001"]  # no caller's name is a file's


def test_a_form_that_holds_its_own_boundary_in_a_file_is_cut_there_and_refused(tmp_path: Path) -> None:
    with pytest.raises(KeepfaceError) as caught:
        read([form(b"a\r\n--" + BOUNDARY.encode() + b"\r\nb")], tmp_path)
    assert status_of(caught.value) in (400, 422)


def test_silence_is_not_waited_for(tmp_path: Path) -> None:
    limits = FormLimits(10_000, 50_000, 3, silence_s=0.05)
    with pytest.raises(NotSentError, match="nothing came for 0.05 seconds"):
        read([form(GOOD)[:50], 5.0, b""], tmp_path, limits)


def test_a_call_that_breaks_off_is_no_form(tmp_path: Path) -> None:
    with pytest.raises(NotSentError, match="broke off"):
        read([form(GOOD)[:50], None], tmp_path)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (FormLimits(20, 50_000, 3, 5.0), "a file is larger"),
        (FormLimits(10_000, 20, 3, 5.0), "in one call"),
    ],
)
def test_limits_hold_at_the_first_byte_too_many(limits: FormLimits, words: str, tmp_path: Path) -> None:
    with pytest.raises(TooMuchError, match=words):
        read([form(GOOD)], tmp_path, limits)


def test_files_and_nothing_but_files_are_counted(tmp_path: Path) -> None:
    piece = form(GOOD).partition(b"--" + BOUNDARY.encode() + b"\r\n" + b'Content-Disposition: form-data; name="o')[0]
    assert len(read([piece * 2 + form(GOOD)], tmp_path).files["photo"]) == 3
    (tmp_path / "more").mkdir()
    with pytest.raises(TooMuchError, match="3 files"):
        read([piece * 3 + form(GOOD)], tmp_path / "more")


def test_only_so_many_calls_send_at_one_time(servers: Servers) -> None:
    server = servers()
    desk = Desk(server.workshop, server.jobs, server.settings)
    desk.receiving = server.settings.uploads

    async def send() -> None:
        async with desk.form(Request({"type": "http", "headers": []}), PARTS):
            pass

    with pytest.raises(QueueFullError, match="4 calls are sending"):
        asyncio.run(send())
    assert desk.receiving == server.settings.uploads
