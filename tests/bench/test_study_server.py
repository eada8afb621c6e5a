"""The page's server: what it tells a browser, what it refuses, and that it never tells a method."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keepface.bench.study.plan import PICTURES, Study, read_study
from keepface.bench.study.votes import BallotBox
from keepface.errors import DataError

from .drawn_study import METHODS, PHOTOS, drawn_study

pytest.importorskip("fastapi", reason="needs keepface[study]")
pytest.importorskip("uvicorn", reason="needs keepface[study]")

from fastapi.testclient import TestClient

from keepface.bench.study.server import MAX_BODY_BYTES, create_app, serve


class Browser:
    """A client of the real application that remembers everything it was sent."""

    def __init__(self, folder: Path) -> None:
        self.client = TestClient(create_app(folder), raise_server_exceptions=False)
        self.received: list[tuple[str, Any]] = []
        self.voter = ""

    def get(self, path: str, **headers: str) -> Any:
        return self._keep(self.client.get(path, headers=self._headers(headers)))

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self._keep(self.client.post(path, content=content, headers=self._headers(headers)))

    def begin(self) -> dict[str, Any]:
        self.voter = self.post("api/voters").json()["voter"]
        found: dict[str, Any] = self.get("api/task").json()
        return found

    def vote(self, task: str, choice: str) -> Any:
        return self.post("api/votes", {"task": task, "choice": choice}, **{"content-type": "application/json"})

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {**({"x-voter": self.voter} if self.voter else {}), **more}

    def _keep(self, response: Any) -> Any:
        self.received.append((str(response.url), response))
        return response


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_study(tmp_path_factory.mktemp("drawn"))[0]


@pytest.fixture
def browser(folder: Path) -> Iterator[Browser]:
    for path in folder.glob("votes.db*"):
        path.unlink()
    made = Browser(folder)
    with made.client:
        yield made


@pytest.fixture
def study(folder: Path) -> Study:
    return read_study(folder)


def answer_all(browser: Browser) -> int:
    found, count = browser.begin(), 0
    while found["task"]:
        for name in (*found["task"]["choices"], *found["task"]["references"], found["task"]["input"]):
            assert browser.get(f"pictures/{name}.png").status_code == 200
        found = browser.vote(found["task"]["id"], found["task"]["choices"][0]).json()
        count += 1
    return count


def test_a_voter_answers_every_task_once_and_is_done(browser: Browser, folder: Path, study: Study) -> None:
    assert answer_all(browser) == len(study.tasks) == 12
    assert browser.get("api/task").json() == {"done": 12, "total": 12, "task": None, "upcoming": []}
    assert {vote.task for vote in BallotBox(folder).votes()} == {task.id for task in study.tasks}


def test_no_response_tells_a_method_a_photo_or_a_control(browser: Browser) -> None:
    for path in ("", "study.css", "study.js", "icon.svg", "api/study"):
        assert browser.get(path).status_code == 200
    answer_all(browser)
    for path in ("study.json", "pictures/", "nowhere", "votes.db", "openapi.json", "docs"):
        assert browser.get(path).status_code == 404
    browser.post("api/votes", b"{")
    browser.vote("no task", "no choice")
    words = [word.lower().encode() for word in (*METHODS, *PHOTOS, "eve-control", "drawn")]
    for url, response in browser.received:
        sent = response.content.lower() + repr(response.headers).lower().encode()
        assert not [word for word in words if word in sent], url
    shapes = [tuple(sorted(r.json()["task"])) for url, r in browser.received if "api/votes" in url and r.is_success
              and r.json()["task"]]  # fmt: skip
    assert set(shapes) == {("choices", "id", "input", "question", "references")}  # a control looks like any task


def test_pictures_come_without_the_dates_of_their_files(browser: Browser, study: Study) -> None:
    response = browser.get(f"pictures/{study.tasks[0].choices[0].picture}.png")
    assert response.headers["content-type"] == "image/png"
    assert not {"last-modified", "etag"} & set(response.headers)


def test_a_voter_who_comes_back_goes_on_where_they_were(browser: Browser, folder: Path) -> None:
    found = browser.begin()
    after = browser.vote(found["task"]["id"], found["task"]["choices"][1]).json()
    again = Browser(folder)
    again.voter = browser.voter
    assert again.get("api/task").json() == after
    assert after["done"] == 1


def test_the_same_vote_twice_is_one_vote_and_another_is_refused(browser: Browser, folder: Path) -> None:
    task = browser.begin()["task"]
    assert browser.vote(task["id"], task["choices"][0]).status_code == 201
    assert browser.vote(task["id"], task["choices"][0]).status_code == 200
    refused = browser.vote(task["id"], task["choices"][1])
    assert refused.status_code == 409 and "first answer stands" in refused.json()["detail"]
    assert [vote.choice for vote in BallotBox(folder).votes()] == [task["choices"][0]]


def test_an_unknown_task_or_choice_is_refused(browser: Browser, folder: Path, study: Study) -> None:
    task = browser.begin()["task"]
    assert browser.vote("0123", task["choices"][0]).status_code == 404
    elsewhere = next(item for item in study.tasks if item.id != task["id"] and item.photo != "eve-control")
    for wrong in ("", "tie", "Alphanet", elsewhere.choices[0].picture):
        if wrong not in task["choices"]:
            assert browser.vote(task["id"], wrong).status_code == 400
    assert BallotBox(folder).votes() == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"task": "a"}', b'{"task": 1, "choice": "b"}',
     b'{"task": "a", "choice": null}', b'{"task": "a", "choice": "b", "method": "c"}',
     b'{"task": "' + b"a" * 200 + b'", "choice": "b"}'],
)  # fmt: skip
def test_a_malformed_vote_is_answered_with_what_a_vote_is(browser: Browser, body: bytes) -> None:
    browser.begin()
    response = browser.post("api/votes", body, **{"content-type": "application/json"})
    assert response.status_code == 422 and response.json()["detail"].startswith("a vote is JSON such as")


def test_a_body_larger_than_any_vote_is_refused_unread(browser: Browser) -> None:
    browser.begin()
    assert browser.post("api/votes", b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    assert browser.client.post("api/votes", content=iter([b"{}"])).status_code == 413  # of unknown length


@pytest.mark.parametrize("voter", ["", "nobody", "' or 1=1 --", "x" * 60])
def test_without_a_voters_code_nothing_is_asked_or_counted(browser: Browser, voter: str) -> None:
    browser.voter = voter
    assert browser.get("api/task").status_code == 401
    assert browser.vote("a", "b").status_code == 401


def test_a_forgotten_voter_is_a_stranger(browser: Browser, folder: Path) -> None:
    task = browser.begin()["task"]
    browser.vote(task["id"], task["choices"][0])
    assert BallotBox(folder).forget(browser.voter) == 1
    assert browser.get("api/task").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["study.json", "votes.db", "votes.db-wal", "page/index.html", "../study.json", "%2e%2e/study.json",
     "pictures/../study.json", "pictures/..%2Fstudy.json", "pictures/%2e%2e/study.json.png",
     "pictures/..%2Fstudy.json.png", "pictures/%2Fetc%2Fpasswd.png", "pictures/..%5c.png",
     "pictures/0000000000000000.png", "study.js/../study.json"],
)  # fmt: skip
def test_nothing_but_the_page_and_the_pictures_can_be_had(browser: Browser, path: str) -> None:
    response = browser.get(path)
    assert response.status_code == 404
    assert b"root:" not in response.content and b"methods" not in response.content


def test_a_picture_that_no_task_shows_is_not_served(browser: Browser, folder: Path) -> None:
    extra = folder / PICTURES / "0123456789abcdef.png"
    extra.write_bytes(b"mine")
    assert browser.get("pictures/0123456789abcdef.png").status_code == 404
    extra.unlink()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "api/votes"), ("GET", "api/voters"), ("PUT", "api/votes"), ("DELETE", "pictures/a.png")],
)
def test_other_verbs_are_refused(browser: Browser, method: str, path: str) -> None:
    assert browser.client.request(method, path).status_code == 405


def test_every_answer_forbids_other_hosts_and_says_so_for_errors_too(browser: Browser) -> None:
    for path in ("", "api/study", "nowhere", "api/task"):
        headers = browser.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in headers


def test_the_page_asks_nothing_of_other_hosts() -> None:
    import keepface.bench.study.server as server

    for path in server.PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", ""), path.name


def test_a_tie_is_a_choice_where_the_study_has_it(tmp_path: Path) -> None:
    folder, _ = drawn_study(tmp_path, tie=True, controls=0, references=None, inputs=None)
    browser = Browser(folder)
    assert browser.get("api/study").json()["tie"] is True
    task = browser.begin()["task"]
    assert task["input"] is None and task["references"] == []
    assert browser.vote(task["id"], "tie").status_code == 201


def test_only_a_whole_study_is_served(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no study"):
        serve(tmp_path, "127.0.0.1", 0, lambda address: None)
    assert list(tmp_path.iterdir()) == []
