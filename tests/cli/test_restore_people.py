"""keepface restore --people: each face by its own person, chosen and set face by face."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from keepface.cli.restore_call import read_knobs
from keepface.engine.choice import Knobs
from keepface.errors import RecipeError
from keepface.people.features import Networks

from ..engine.plain_restorer import ANNA, BEN, PlainRestorer, album, person

Keepface = Callable[..., Result]
Results = Callable[[Result], list[dict[str, Any]]]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: PlainRestorer, keepface: Keepface) -> Path:
    """A library of Anna and Ben, who is the first of three on photo 03."""
    folder = tmp_path / "library"
    monkeypatch.setenv("KEEPFACE_LIBRARY", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    loaded = Networks(networks.embedder, networks.judge)
    monkeypatch.setattr(Networks, "load", lambda: loaded)
    for name, who in (("anna", ANNA), ("ben", BEN)):
        assert keepface("person", "add", name, *person(who, 3)).exit_code == 0
    return folder


@pytest.mark.shared
def test_each_face_gets_its_own_person_and_strangers_stay(
    keepface: Keepface, restorer: PlainRestorer, results: Results, library: Path, tmp_path: Path
) -> None:
    words = ("restore", album("clean/03.png"), "--people", "--keep-worse")
    (row,) = results(keepface(*words, "-o", tmp_path / "1.png", "--json"))
    faces = sorted(row["faces"], key=lambda face: face["box"][0])
    assert [face["person"] for face in faces] == ["ben", None, None]
    assert [face["restored"] for face in faces] == [True, False, False]
    assert 0.5 < faces[0]["same_person_probability"] <= 1 and faces[1]["same_person_probability"] is None
    said = keepface(*words, "-o", tmp_path / "2.png").stdout
    assert "3 faces: 1 restored, 2 unchanged" in said and ", ben: same person with probability" in said
    assert said.count("nobody of the people given") == 2


@pytest.mark.shared
def test_only_skip_and_knobs_reach_the_faces(
    keepface: Keepface, restorer: PlainRestorer, results: Results, library: Path, tmp_path: Path
) -> None:
    words = ("restore", album("clean/03.png"), "--people", "--keep-worse", "--json")
    (row,) = results(keepface(*words, "--skip", "BEN", "-o", tmp_path / "1.png"))
    assert [(face["restored"], face["reason"]) for face in row["faces"] if face["person"]] == [
        (False, "skipped, as asked")
    ]
    restorer.calls.clear()
    keepface(*words, "--for", "ben:fidelity=0.6,identity=0.8", "-o", tmp_path / "2.png")
    assert [call["settings"] for call in restorer.calls] == [(0.6, 0.8)]


@pytest.mark.shared
def test_people_and_one_person_at_once_or_somebody_unknown_is_refused(
    keepface: Keepface, restorer: PlainRestorer, library: Path, tmp_path: Path
) -> None:
    words = ("restore", album("clean/03.png"), "-o", tmp_path / "out.png")
    both = keepface(*words, "--people", "--person", "anna")
    assert both.exit_code == 2 and "not both" in both.stderr
    unknown = keepface(*words, "--people", "--only", "cara")
    assert unknown.exit_code == 2 and "anna, ben" in unknown.stderr
    nobody = keepface(*words, "--only", "cara")
    assert nobody.exit_code == 2 and "give --people" in nobody.stderr
    assert restorer.calls == [] and not (tmp_path / "out.png").exists()


@pytest.mark.shared
def test_an_empty_library_says_how_to_fill_it(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPFACE_LIBRARY", str(tmp_path / "none"))
    result = keepface("restore", album("photos/00.jpg"), "--people", "-o", tmp_path / "out.png")
    assert result.exit_code == 1 and "keepface person add" in result.stderr


def test_knobs_are_read_as_they_are_written() -> None:
    assert read_knobs("anna:fidelity=0.6,identity=0.8") == Knobs("anna", 0.6, 0.8)
    assert read_knobs("3:identity=0") == Knobs("3", None, 0.0)
    assert read_knobs("Anna: the elder:fidelity=1") == Knobs("Anna: the elder", 1.0, None)


@pytest.mark.parametrize(
    "text", ["anna", "anna:", ":fidelity=1", "anna:steps=3", "anna:fidelity", "anna:fidelity=much"]
)
def test_knobs_that_can_t_be_read_say_how_to_write_them(text: str) -> None:
    with pytest.raises(RecipeError, match="NAME:fidelity=0.6,identity=0.8"):
        read_knobs(text)
