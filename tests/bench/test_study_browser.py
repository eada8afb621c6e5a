"""The page of a study in a real browser: votes by mouse, touch and keys, read back from the file they are kept in."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import keepface
from keepface.bench.study.plan import read_study
from keepface.bench.study.votes import BallotBox, Vote

from .. import browser
from ..browser import PHONE
from .drawn_study import drawn_study

pytest.importorskip("fastapi", reason="needs keepface[study]")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
READY = "#task:not([hidden]) #choices:not(.loading)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium(playwright) as started:
        yield started


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_study(tmp_path_factory.mktemp("drawn"), tie=True, photos_a_voter=2, controls=1)[0]


@pytest.fixture(scope="module")
def server(drawn: Path) -> Iterator[str]:
    """Run `keepface study serve` as a person would, on a free port."""
    words = [sys.executable, "-m", "keepface", "study", "serve", str(drawn), "--port", "0"]
    source = Path(keepface.__file__).resolve().parents[1]
    with subprocess.Popen(words, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stderr is not None
        line = run.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), line + run.stderr.read()
        yield line
        run.terminate()
        logged = run.stderr.read()
    assert "127.0.0.1" not in logged and "Traceback" not in logged  # no request is logged


@pytest.fixture
def folder(drawn: Path) -> Path:
    """A study without votes; six tasks a voter."""
    for path in drawn.glob("votes.db"):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("delete from votes")
            db.execute("delete from voters")
    return drawn


@pytest.fixture
def address(server: str, folder: Path) -> str:
    return server


class Visit:
    """One browser's visit, with every request and complaint of the page."""

    def __init__(self, chromium: Any, address: str, kind: dict[str, Any]) -> None:
        self.context = chromium.new_context(**kind)
        self.context.set_default_timeout(20_000)
        self.address, self.requests, self.complaints = address, [], []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page = self.open()

    def open(self) -> Any:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.goto(self.address)
        return page

    def begin(self) -> None:
        self.page.get_by_role("button", name="Start").click()
        self.page.locator(READY).wait_for()

    def count(self) -> str:
        return str(self.page.locator("#count").inner_text())

    def shown(self) -> list[str]:
        """Names of the pictures to choose, from left to right."""
        return [radio.get_attribute("value") for radio in self.page.locator("#choices input").all()]

    def wait_for(self, count: str) -> None:
        self.page.locator("#count", has_text=re.compile(f"^{count}$")).wait_for()
        self.page.locator(READY).wait_for()

    def close(self) -> None:
        self.context.close()
        assert self.requests and all(url.startswith(self.address) for url in self.requests)
        assert self.complaints == []


def chosen(folder: Path) -> set[str]:
    return {vote.choice for vote in BallotBox(folder).votes()}


def test_a_study_is_answered_by_clicks_and_keys_and_every_vote_is_kept(
    chromium: Any, address: str, folder: Path
) -> None:
    visit = Visit(chromium, address, DESK)
    page = visit.page
    page.get_by_role("button", name="Start").wait_for()
    assert page.get_by_role("listitem").all_inner_texts() == [
        "Which picture has the best quality?",
        "Which picture looks most like the person in the reference photos?",
    ]
    visit.begin()
    wanted = []

    assert page.get_by_role("button", name="Next Enter").is_disabled()
    wanted.append(visit.shown()[1])
    page.get_by_role("img", name="Picture 2").click()  # by mouse
    page.get_by_role("button", name="Next").last.click()
    visit.wait_for("2 of 6")

    wanted.append(visit.shown()[2])
    page.keyboard.press("1")  # by keys, with a second thought
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    visit.wait_for("3 of 6")

    wanted.append("tie")
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    visit.wait_for("4 of 6")

    assert page.locator("#prompt").inner_text().startswith("Which picture looks most like")
    assert page.get_by_alt_text(re.compile("Reference photo . of 2")).count() == 2
    wanted.append(visit.shown()[1])
    page.keyboard.press("l")  # in the large view
    assert page.locator("#caption").inner_text() == "Picture 1 of 3"
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Choose this one").click()
    page.keyboard.press("Enter")
    visit.wait_for("5 of 6")

    wanted.append(visit.shown()[2])
    page.get_by_role("radio", name="Picture 1").focus()  # as a radio group, by Tab and arrows
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    visit.wait_for("6 of 6")

    wanted.append(visit.shown()[0])
    page.get_by_role("img", name="Picture 1").click()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="That was all").wait_for()
    assert visit.count() == "6 of 6"

    page.get_by_text("Your code").click()
    voter = page.locator("#code").inner_text()
    asked = [task.id for task in read_study(folder).tasks_of(voter)]
    expected = {Vote(voter, task, choice) for task, choice in zip(asked, wanted, strict=True)}
    assert set(BallotBox(folder).votes()) == expected
    visit.close()


def test_a_phone_shows_everything_without_sideways_scrolling_and_takes_taps(
    chromium: Any, address: str, folder: Path
) -> None:
    visit = Visit(chromium, address, PHONE)
    visit.begin()
    wanted = set()
    for number in range(1, 7):
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        wanted.add(visit.shown()[0])
        visit.page.get_by_role("img", name="Picture 1").tap()
        next_one = visit.page.locator("#next")
        assert next_one.bounding_box()["height"] >= 44 and next_one.bounding_box()["y"] < 844
        next_one.tap()
        if number < 6:
            visit.wait_for(f"{number + 1} of 6")
    visit.page.get_by_role("heading", name="That was all").wait_for()
    assert chosen(folder) == wanted
    visit.close()


def test_a_voter_goes_on_after_closing_the_page_and_in_another_browser(chromium: Any, address: str) -> None:
    visit = Visit(chromium, address, DESK)
    visit.begin()
    visit.page.keyboard.press("1")
    visit.page.keyboard.press("Enter")
    visit.wait_for("2 of 6")
    before = visit.shown()
    visit.page.close()
    visit.page = visit.open()
    visit.wait_for("2 of 6")
    assert visit.shown() == before

    visit.page.get_by_text("Your code").click()
    link = visit.page.locator("#elsewhere").evaluate("link => link.href")
    other = Visit(chromium, link, DESK)
    other.address = address
    other.wait_for("2 of 6")
    assert other.shown() == before and other.page.url == address  # the code does not stay in the address
    other.close()
    visit.close()


def test_the_first_answer_stands_when_two_windows_disagree(chromium: Any, address: str, folder: Path) -> None:
    visit = Visit(chromium, address, DESK)
    visit.begin()
    first = visit.shown()[0]
    other = visit.open()
    other.locator(READY).wait_for()
    visit.page.keyboard.press("1")
    visit.page.keyboard.press("Enter")
    visit.wait_for("2 of 6")
    other.keyboard.press("2")
    other.keyboard.press("Enter")
    other.get_by_role("alert").get_by_text("answered that one in another window").wait_for()
    assert other.locator("#count").inner_text() == "2 of 6"
    assert chosen(folder) == {first}
    visit.complaints.clear()  # the browser itself notes the refusal
    visit.close()


def test_a_voter_whose_answers_were_removed_is_told_and_may_start_anew(
    chromium: Any, address: str, folder: Path
) -> None:
    visit = Visit(chromium, address, DESK)
    visit.begin()
    visit.page.get_by_text("Your code").click()
    BallotBox(folder).forget(visit.page.locator("#code").inner_text())
    visit.page.keyboard.press("1")
    visit.page.locator("#next").click()
    visit.page.get_by_role("alert").get_by_text("your answers were removed").wait_for()
    visit.begin()
    assert visit.count() == "1 of 6"
    visit.complaints.clear()
    visit.close()


def test_a_choice_is_not_lost_when_the_server_is_away(chromium: Any, address: str, folder: Path) -> None:
    visit = Visit(chromium, address, DESK)
    visit.begin()
    wanted = visit.shown()[1]
    visit.context.set_offline(True)
    visit.page.keyboard.press("2")
    visit.page.keyboard.press("Enter")
    visit.page.get_by_role("alert").get_by_text("can't be reached").wait_for()
    visit.context.set_offline(False)
    visit.page.locator("#next").click()
    visit.wait_for("2 of 6")
    assert chosen(folder) == {wanted}
    visit.complaints.clear()
    visit.close()
