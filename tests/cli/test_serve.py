"""keepface serve, as a process of its own: what it prints, what it stands, and that it leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

pytest.importorskip("fastapi", reason="needs keepface[web]")
pytest.importorskip("python_multipart", reason="needs keepface[web]")
pytest.importorskip("uvicorn", reason="needs keepface[web]")

import keepface as keepface_package

Keepface = Callable[..., Result]
Start = Callable[..., tuple[subprocess.Popen[str], str]]
GARBAGE = (
    b"",
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a client that speaks TLS
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET " + b"/" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET /v1/health HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
    b"GET /v1/health HTTP/1.1\r\n\r\n",
    b"POST /v1/restorations HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/restorations HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST /v1/people HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/people HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\nhello",
    b"POST /v1/people HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"\x00" * 5000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server without the page; the value is its process and its address."""
    processes: list[subprocess.Popen[str]] = []

    def run(*words: str) -> tuple[subprocess.Popen[str], str]:
        folders = {"XDG_CACHE_HOME": "cache", "HOME": "home", "TMPDIR": "temp", "KEEPFACE_LIBRARY": "library"}
        (tmp_path / "temp").mkdir(exist_ok=True)
        own = {name: str(tmp_path / folder) for name, folder in folders.items()}
        own["PYTHONPATH"] = str(Path(keepface_package.__file__).parents[1])
        command = [sys.executable, "-m", "keepface", "serve", "--port", "0", "--no-page", *words]
        environment = {name: value for name, value in os.environ.items() if name != "KEEPFACE_TOKEN"} | own
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def get(address: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for _ in range(100):
        try:
            with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            time.sleep(0.1)  # it listens before it answers
    raise AssertionError("no answer")


def test_it_stands_garbage_says_nothing_of_it_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    process, address = start()
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", address)
    assert found and get(f"{address}v1/health") == 200
    for garbage in GARBAGE:
        with socket.create_connection(("127.0.0.1", int(found[1])), 10) as line:
            line.settimeout(10)
            try:
                line.sendall(garbage)
                line.shutdown(socket.SHUT_WR)
                answer = line.recv(100)
            except OSError:
                answer = b""  # it hung up, which is an answer
        assert not answer or re.match(rb"HTTP/1\.[01] (4\d\d|200) ", answer), (garbage[:60], answer)
    assert get(f"{address}v1/health") == 200
    private = list((tmp_path / "cache" / "keepface" / "serve").glob("serve-*"))
    assert len(private) == 1
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == ""
    assert err.splitlines()[0] == "Only this machine can open it." and "Traceback" not in err and "health" not in err
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".turn"]


def test_where_others_can_call_it_makes_a_token_and_takes_no_other(start: Start) -> None:
    _, address = start("--host", "0.0.0.0")
    found = re.fullmatch(r"http://0\.0\.0\.0:(\d+)/\?token=([\w-]{32})", address)
    assert found
    here = f"http://127.0.0.1:{found[1]}/v1/health"
    assert [get(here), get(here, "wrong"), get(here, found[2])] == [401, 401, 200]


def test_what_can_not_be_served_is_told_at_once(
    keepface: Keepface, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KEEPFACE_LIBRARY", str(tmp_path / "library"))
    unknown = keepface("serve", "--family", "magic")
    assert unknown.exit_code == 1 and "family 'magic' is unknown" in unknown.stderr
    short = keepface("serve", "--host", "0.0.0.0", "--token", "short")
    assert short.exit_code == 2 and "at least 16" in short.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = keepface("serve", "--port", taken.getsockname()[1])
        assert busy.exit_code == 2 and "can't be used" in busy.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".turn"]
