import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from keepface.weights.cards import cards

Keepface = Callable[..., Result]


def test_the_list_names_every_file_with_its_terms(keepface: Keepface) -> None:
    result = keepface("weights", "list")
    assert result.exit_code == 0
    for card in cards().values():
        assert any(card.name in line and card.licence in line for line in result.stdout.splitlines())


def test_the_list_for_programs_is_one_object(keepface: Keepface) -> None:
    listed = json.loads(keepface("weights", "list", "--json").stdout)["weights"]
    assert [card["name"] for card in listed] == list(cards())
    assert all(len(card["sha256"]) == 64 for card in listed)


def test_a_file_that_is_not_its_cards_ends_the_check_with_status_1(
    keepface: Keepface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / cards()["mtcnn-pnet"].file).write_bytes(b"something else")
    monkeypatch.setenv("KEEPFACE_WEIGHTS", str(tmp_path))
    result = keepface("weights", "check", "--json")
    states = {item["name"]: item for item in json.loads(result.stdout)["weights"]}
    assert result.exit_code == 1
    assert not states["mtcnn-pnet"]["ok"] and "SHA-256" in states["mtcnn-pnet"]["problem"]
    assert states["mtcnn-onet"]["ok"]


def test_clearing_the_cache_deletes_every_kept_feature(
    keepface: Keepface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "keepface" / "features"
    folder.mkdir(parents=True)
    (folder / "abc.safetensors").write_bytes(b"12345678")
    assert "1 kept" in keepface("cache", "show").stdout
    assert keepface("cache", "clear", "--yes").exit_code == 0
    assert list(folder.iterdir()) == []
