"""Who may call, from where, how often and with how much."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from keepface.web.guard import Rate
from keepface.web.settings import ServeSettings

from .conftest import EXAMPLES, HERE, Server, Servers

TOKEN = "correct-horse-battery"
ABROAD = "http://192.168.7.5:7878"


def test_a_name_that_is_not_this_machine_s_is_refused_so_that_no_site_can_take_its_address(server: Server) -> None:
    for host in (
        "evil.example",
        "evil.example:7878",
        "127.0.0.1.evil.example",
        "",
        "a@127.0.0.1",
        "192.168.7.5",
        "[::1",
    ):
        response = server.get("/v1/health", headers={"host": host})
        assert response.status_code == 403 and "name" in response.json()["error"], host
    for host in ("127.0.0.1:7878", "localhost:9000", "[::1]:7878", "LOCALHOST", "127.0.0.1"):
        assert server.get("/v1/health", headers={"host": host}).status_code == 200, host


def test_two_hosts_at_once_are_refused(server: Server) -> None:
    headers = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert server.client.get("/v1/health", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://[bad"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_calls_from_other_sites_are_refused(server: Server, headers: dict[str, str]) -> None:
    for call in (server.client.get, server.client.post, server.client.delete):
        response = call("/v1/people", headers=headers)
        assert response.status_code == 403 and "other sites" in response.json()["error"]


def test_the_own_page_may_call(server: Server) -> None:
    headers = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert server.get("/v1/people", headers=headers).status_code == 200


def test_every_answer_keeps_to_itself(server: Server) -> None:
    for path in ("/v1/health", "/v1/nowhere", "/nowhere"):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert not {"access-control-allow-origin", "server"} & set(headers)
    assert server.get("/v1/health").headers["cache-control"] == "no-store"


def test_a_body_that_says_it_is_too_large_is_not_read(servers: Servers) -> None:
    server = servers(ServeSettings(album_mib=1))
    response = server.post("/v1/restorations", headers={"content-length": str(3 << 20)}, content=b"x")
    assert response.status_code == 413 and "2 MiB" in response.json()["error"]
    for length in ("-1", "1e3", "9" * 40, "٣"):
        response = server.post("/v1/restorations", headers={"content-length": length.encode()}, content=b"x")
        assert response.status_code in (400, 413), length


def test_a_body_that_says_no_length_is_broken_off_when_it_is_too_large(servers: Servers) -> None:
    server = servers(ServeSettings(album_mib=1))
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="photo"; filename="x.png"\r\n\r\n'
        while sent < 64 << 20:
            sent += 65536
            yield bytes(65536)

    response = server.post(
        "/v1/restorations", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert response.status_code == 413
    response = server.post("/v1/trainings", content=iter([b"{" * 65536, b"{" * 65536]))
    assert response.status_code == 413 and "65536 bytes" in response.json()["error"]
    assert [path for path in server.workshop.shelf.folder.rglob("*") if path.name != ".turn"] == []


def test_who_calls_too_often_is_told_to_wait_and_others_are_not(servers: Servers) -> None:
    server = servers(ServeSettings(rate_per_minute=5))
    answers = [server.get("/v1/health") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "12" and "too many calls" in answers[-1].json()["error"]


def test_a_token_can_not_be_tried_without_end(servers: Servers) -> None:
    server = servers(ServeSettings(host="0.0.0.0", token=TOKEN, rate_per_minute=5), ABROAD)
    answers = [server.get("/", params={"token": f"try-number-{number:06}"}) for number in range(7)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert server.get("/", params={"token": TOKEN}).status_code == 429


def test_a_bucket_fills_evenly_and_addresses_do_not_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("keepface.web.guard.time.monotonic", lambda: now[0])
    rate = Rate(60)
    assert sum(rate.takes("one") for _ in range(100)) == 60 and rate.takes("other")
    now[0] += 2.5
    assert [rate.takes("one") for _ in range(3)] == [True, True, False]


def test_where_others_can_call_the_token_is_needed(servers: Servers) -> None:
    server = servers(ServeSettings(host="0.0.0.0", token=TOKEN), ABROAD)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": f"keepface={TOKEN}"}):
        response = server.get("/v1/people", headers=headers)
        assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text
    assert server.get("/v1/people", params={"token": TOKEN}).status_code == 401  # in addresses for the page alone
    assert server.get("/v1/people", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_browser_changes_the_token_for_a_cookie_that_is_not_the_token(servers: Servers) -> None:
    server = servers(ServeSettings(host="0.0.0.0", token=TOKEN), ABROAD)
    assert server.get("/", params={"token": "wrong"}).status_code == 401
    welcome = server.client.get("/", params={"token": TOKEN}, follow_redirects=False)
    cookie = welcome.headers["set-cookie"].lower()
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/")
    assert "httponly" in cookie and "samesite=strict" in cookie and TOKEN not in cookie
    assert server.get("/v1/people").status_code == 200  # the client holds the cookie now


def test_names_that_are_allowed_may_be_called_by(servers: Servers) -> None:
    server = servers(ServeSettings(hosts=("attic.local",)))
    assert server.get("/v1/health", headers={"host": "attic.local:7878"}).status_code == 200
    assert server.get("/v1/health", headers={"host": "cellar.local"}).status_code == 403


def test_an_error_of_ours_tells_no_words_of_it(server: Server, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def broken() -> Any:
        raise ValueError("anna's photo at /secret/place")

    monkeypatch.setattr(server.workshop, "people", broken)
    response = server.get("/v1/people")
    assert response.status_code == 500
    assert response.json()["error"] == "something went wrong inside keepface (ValueError)"
    assert "anna" not in caplog.text and "secret" not in caplog.text and "ValueError" in caplog.text


def test_a_queue_that_is_full_takes_no_more_and_says_when_to_come_again(servers: Servers) -> None:
    server = servers(ServeSettings(queue=1))
    held = threading.Event()
    server.jobs.submit("restoration", lambda progress: held.wait(30))
    photo = (EXAMPLES / "old.png").read_bytes()
    response = server.post("/v1/restorations", files={"photo": photo})
    held.set()
    assert response.status_code == 503 and int(response.headers["retry-after"]) > 0
    assert "try again" in response.json()["error"]
