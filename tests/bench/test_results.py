"""The journal keeps every value exactly and survives a stop in the middle of a line."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepface.bench.results import Journal, Result, keep_cards, keep_settings
from keepface.errors import DataError


def result(person: str = "ann", value: float = 1.5, note: str = "") -> Result:
    return Result("light", "input", person, 3, (1, 2), 7, 0.25, ("psnr",), note, {} if note else {"psnr": value}, 12.5)


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ("psnr",))
    written = [result(), result('a "quoted", name'), result("eve", note="the person has fewer than 4 other photos")]
    journal.append(written[:1])
    journal.append(written[1:])
    assert Journal(tmp_path, ("psnr",)).read() == written


@given(value=st.floats(allow_nan=False))
def test_values_are_kept_to_the_last_bit(value: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal"), ("psnr",))
    journal.append([result(value=value)])
    assert journal.read()[0].values == {"psnr": value}
    assert math.copysign(1, journal.read()[0].values["psnr"]) == math.copysign(1, value)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_cut_short_is_measured_again_and_the_rest_is_kept(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path, ("psnr",))
    journal.append([result("ann"), result("bob")])
    text = journal.path.read_text()
    journal.path.write_text(text[:-cut])
    assert journal.read() == [result("ann")]
    journal.append([result("bob")])
    assert journal.path.read_text() == text


def test_a_file_of_other_metrics_is_not_mixed_with_this_run(tmp_path: Path) -> None:
    Journal(tmp_path, ("psnr",)).append([result()])
    with pytest.raises(DataError, match="results.csv: columns are"):
        Journal(tmp_path, ("ssim",)).read()


def test_a_folder_keeps_one_set_of_settings(tmp_path: Path) -> None:
    keep_settings(tmp_path, {"seed": 0, "sizes": (1, 2)})
    keep_settings(tmp_path, {"seed": 0, "sizes": [1, 2]})
    with pytest.raises(DataError, match="were measured with seed = 0, this run has 1; give another folder with -o"):
        keep_settings(tmp_path, {"seed": 1, "sizes": [1, 2]})


def test_a_result_that_was_tried_again_counts_once_and_only_the_last_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ("psnr",))
    journal.append([result("ann", note="failed: out of memory"), result("bob")])
    journal.append([result("ann")])
    assert journal.read() == [result("ann"), result("bob")]
    assert [item.is_final for item in (result(note="failed: no"), result(note="too few photos"), result())] == [
        False,
        True,
        True,
    ]


def test_systems_may_join_a_folder_but_not_change_in_it(tmp_path: Path) -> None:
    keep_cards(tmp_path, {"FaceMe": {"name": "compact"}})
    keep_cards(tmp_path, {"RIDFR": {"name": "compact"}})
    keep_cards(tmp_path, {"FaceMe": {"name": "compact"}})
    with pytest.raises(DataError, match="of 'RIDFR' were made by other networks"):
        keep_cards(tmp_path, {"RIDFR": {"name": "other"}})
