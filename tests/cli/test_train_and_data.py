import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from keepface.data.prepare import Pack

from ..engine.plain_restorer import ANNA, BEN, landscape, person

Keepface = Callable[..., Result]
RECIPE = 'task = "autoencoder"\n[optim]\nsteps = 7\n'


def test_a_dry_run_prints_the_resolved_recipe_and_trains_nothing(keepface: Keepface, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    result = keepface("train", tmp_path / "r.toml", "--set", "optim.lr=0.5", "--dry-run")
    assert result.exit_code == 0, result.output
    optim = tomllib.loads(result.stdout)["optim"]
    assert (optim["steps"], optim["lr"]) == (7, 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["r.toml"]


def test_an_unknown_key_ends_with_status_2_and_the_near_one(keepface: Keepface, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    result = keepface("train", tmp_path / "r.toml", "--set", "optim.step=1", "--dry-run")
    assert result.exit_code == 2 and "did you mean 'steps'?" in result.stderr


def test_training_needs_data(keepface: Keepface, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    result = keepface("train", tmp_path / "r.toml")
    assert result.exit_code == 2 and "--data" in result.stderr


def test_a_folder_that_is_not_there_can_not_be_prepared(keepface: Keepface, tmp_path: Path) -> None:
    result = keepface("data", "prepare", tmp_path / "gone", tmp_path / "out", "--size", 64)
    assert result.exit_code == 2 and "there is no such folder" in result.stderr


@pytest.mark.shared
def test_a_folder_of_people_becomes_a_pack_and_what_is_left_out_is_named(keepface: Keepface, tmp_path: Path) -> None:
    for name in (ANNA, BEN):
        (tmp_path / "in" / name).mkdir(parents=True)
        for path in person(name):
            shutil.copy(path, tmp_path / "in" / name)
    landscape(tmp_path / "in" / BEN / "hill.png", 200, 200)
    result = keepface("data", "prepare", tmp_path / "in", tmp_path / "pack", "--size", 64)
    assert result.exit_code == 0, result.output
    assert "4 photos of 2 people, 1 left out" in result.stdout and "hill.png" in result.stderr
    pack = Pack(tmp_path / "pack")
    assert pack.size == 64 and sorted(set(pack.identities)) == sorted((ANNA, BEN))
    assert {name: tuple(values.shape[1:]) for name, values in pack.features.items()} == {
        "recogniser": (4, 128),
        "image": (4, 1280),
    }
    same, other = (pack.features["recogniser"][0, 0] @ pack.features["recogniser"][0, index] for index in (1, 2))
    assert same > 0.4 > other


def test_an_unknown_suite_ends_with_status_2(keepface: Keepface, tmp_path: Path) -> None:
    result = keepface("bench", "--suite", "huge", "--data", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "huge" in result.stderr and not (tmp_path / "out").exists()
