"""keepface study: the four commands as a person types them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from keepface.bench.study.plan import Study, read_study
from keepface.bench.study.votes import BallotBox, Vote

from ..bench.drawn_study import METHODS, draw_folders

Keepface = Callable[..., Result]
OPTIONS = ("--controls", 2, "--side", 64, "--seed", 7)


@pytest.fixture
def folder(keepface: Keepface, tmp_path: Path) -> Path:
    root = draw_folders(tmp_path)
    words = [word for name in METHODS for word in ("--method", f"{name}={root / name}")]
    given = ("--reference", root / "references", "--input", root / "inputs", "--truth", root / "truths")
    result = keepface("study", "build", root / "study", *words, *given, *OPTIONS)
    assert result.exit_code == 0, result.output
    assert "4 photos, 3 methods, quality, identity" in result.stdout
    assert f"each voter answers 12 tasks; go on with: keepface study serve {root / 'study'}" in result.stdout
    return root / "study"


def answer(folder: Path, favourite: str, careless: bool = False) -> str:
    """Let a voter choose one method throughout, and the right or a wrong choice in the controls."""
    study, box = read_study(folder), BallotBox(folder)
    voter = box.new_voter()
    for task in study.tasks:
        wrong = next(choice.picture for choice in task.choices if choice.picture != task.right)
        theirs = [choice.picture for choice in task.choices if choice.method == favourite]
        box.cast(Vote(voter, task.id, theirs[0] if theirs else wrong if careless else task.right))
    return voter


def error_of(result: Result, status: int = 1) -> str:
    assert result.exit_code == status, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.stderr


def test_without_votes_the_report_says_so(keepface: Keepface, folder: Path) -> None:
    assert keepface("study", "report", folder).stdout == "no votes yet\n"
    assert json.loads(keepface("study", "report", folder, "--json").stdout)["voters"] == 0


def test_the_report_shows_shares_pairs_and_who_is_left_out(keepface: Keepface, folder: Path) -> None:
    for favourite in ("Alphanet", "Alphanet", "Betafix"):
        answer(folder, favourite)
    answer(folder, "Gammalift", careless=True)
    lines = keepface("study", "report", folder).stdout.splitlines()
    assert lines[0] == "4 voters; 3 counted, of whom 3 answered everything"
    assert lines[1].startswith("left out: 1 with less than 80% of their controls right, 0 who met none")
    first = next(line.split() for line in lines if line.startswith("Alphanet"))
    assert first[:4] == ["Alphanet", "8", "12", "66.7%"]
    assert next(line.split() for line in lines if line.startswith("Gammalift"))[:4] == ["Gammalift", "0", "12", "0.0%"]
    duel = next(line.split() for line in lines if line.startswith("Alphanet : Betafix"))
    assert duel[:7] == ["Alphanet", ":", "Betafix", "8", "4", "0", "66.7%"]


def test_the_report_as_json_holds_the_same_figures(keepface: Keepface, folder: Path) -> None:
    for favourite in ("Alphanet", "Alphanet", "Betafix"):
        answer(folder, favourite)
    answer(folder, "Gammalift", careless=True)
    found = json.loads(keepface("study", "report", folder, "--json", "--pass", "0.8").stdout)
    assert (found["voters"], found["counted"], found["failed_controls"]) == (4, 3, 1)
    assert [question["question"] for question in found["questions"]] == ["quality", "identity"]
    share = found["questions"][0]["shares"][0]
    assert (share["method"], share["votes"], share["answers"]) == ("Alphanet", 8.0, 12)
    assert share["wilson"]["low"] < share["share"] < share["wilson"]["high"]
    everybody = json.loads(keepface("study", "report", folder, "--json", "--pass", "0").stdout)
    assert (everybody["counted"], everybody["failed_controls"]) == (4, 0)


def test_a_voter_can_be_forgotten(keepface: Keepface, folder: Path) -> None:
    gone, stays = answer(folder, "Alphanet"), answer(folder, "Betafix")
    result = keepface("study", "forget", folder, "--voter", gone)
    assert result.exit_code == 0 and "the voter and 12 votes are removed" in result.stdout
    assert {vote.voter for vote in BallotBox(folder).votes()} == {stays}
    assert "there is no voter" in error_of(keepface("study", "forget", folder, "--voter", gone))


def test_photos_left_out_are_told(keepface: Keepface, tmp_path: Path) -> None:
    root = draw_folders(tmp_path)
    (root / "Betafix" / "bob-jones.jpg").unlink()
    methods = [word for name in METHODS for word in ("--method", f"{name}={root / name}")]
    result = keepface("study", "build", root / "s", *methods, "--controls", 0, "--side", 64)
    assert "left out bob-jones: not in " in result.stderr and "3 photos, 3 methods, quality\n" in result.stdout
    study: Study = read_study(root / "s")
    assert study.questions == ("quality",) and not study.controls


@pytest.mark.parametrize(
    "words", [(), ("--method", "only-a-name"), ("--method", "=x"), ("--method", "a=x", "--method", "a=y")]
)
def test_methods_that_make_no_sense_end_with_status_2(
    keepface: Keepface, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert keepface("study", "build", tmp_path / "study", *words).exit_code == 2
    assert not (tmp_path / "study").exists()


def test_one_method_is_no_comparison(keepface: Keepface, tmp_path: Path) -> None:
    line = error_of(keepface("study", "build", tmp_path / "study", "--method", f"a={tmp_path}"), status=2)
    assert "a comparison needs two" in line


@pytest.mark.parametrize("command", [("serve",), ("report",), ("forget", "--voter", "x")])
def test_a_folder_without_study_is_named(keepface: Keepface, tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *options = command
    if name == "serve":
        pytest.importorskip("fastapi", reason="needs keepface[study]")
    assert "holds no study" in error_of(keepface("study", name, tmp_path, *options))
    assert list(tmp_path.iterdir()) == []


def test_serving_without_the_extra_says_what_to_install(
    keepface: Keepface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keepface.bench.study as package

    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "keepface.bench.study.server", raising=False)
    monkeypatch.delattr(package, "server", raising=False)
    assert "fastapi: pip install 'keepface[study]'" in error_of(keepface("study", "serve", tmp_path))


def test_a_port_that_is_taken_is_told(keepface: Keepface, folder: Path) -> None:
    import socket

    pytest.importorskip("fastapi", reason="needs keepface[study]")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = error_of(keepface("study", "serve", folder, "--port", port), status=2)
    assert f"127.0.0.1:{port}: can't be used" in line and "--port" in line
