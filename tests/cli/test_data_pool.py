import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from keepface.data.prepare import Pack, prepare

from ..toy import ColourFeatures, ToyPeople

Keepface = Callable[..., Result]


def test_a_pool_is_written_once_and_told_in_lines_or_as_json(
    keepface: Keepface, tiny_family_folder: Path, tmp_path: Path
) -> None:
    prepare(ToyPeople(3, 1), tmp_path / "pack", 32, ColourFeatures())
    words = ["data", "pool", tmp_path / "pack", tmp_path / "out", "--family", tiny_family_folder, "--limit", 1]
    words += ["--delta", -1, "--steps", 1, "--device", "cpu"]
    plain = keepface(*words)
    assert plain.exit_code == 0, plain.output
    told = json.loads(keepface(*words, "--json").stdout)
    # Three photos in three poses: one expression each.
    assert (told["targets"], told["wanted"], told["accepted"], told["tries"]) == (1, 3, 3, 3)
    assert told["acceptance"] == told["fill"] == 1.0 and sum(told["per_cell"]) == 3 and len(told["per_cell"]) == 9
    assert len(Pack(Path(told["pack"]))) == 6
    assert "3 references of 1 photos" in plain.stdout and "100.0% of 3 drawn" in plain.stdout


def test_a_folder_that_is_no_pack_ends_with_status_1_and_the_command_that_makes_one(
    keepface: Keepface, tmp_path: Path
) -> None:
    result = keepface("data", "pool", tmp_path, tmp_path / "out")
    assert result.exit_code == 1 and "keepface data prepare" in result.stderr


def test_a_cosine_out_of_range_ends_with_status_2(keepface: Keepface, tmp_path: Path) -> None:
    assert keepface("data", "pool", tmp_path, tmp_path / "out", "--delta", 2).exit_code == 2
