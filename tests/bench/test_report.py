"""The report's tables hold the arithmetic of the results, and say what is missing."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from keepface.bench.document import Table
from keepface.bench.lines import comparisons, lines
from keepface.bench.report import (
    PUBLISHED_TITLE,
    Findings,
    differences_table,
    means_table,
    variance_table,
    write_report,
)
from keepface.bench.results import Result
from keepface.bench.sets import Variance
from keepface.bench.settings import BenchSettings
from keepface.bench.suite import SUITES
from keepface.data.shards import LeftOut

SUITE = SUITES["compact"]
SETTINGS = BenchSettings(metrics=("psnr", "landmark distance"), resamples=200)
PAIRS = comparisons(SUITE, SETTINGS)


def results(row: str, psnr: list[float], flagged: tuple[str, ...] = ()) -> list[Result]:
    return [
        Result(
            "light",
            row,
            f"person {number}",
            number,
            (),
            0,
            2.0,
            flagged,
            "",
            {"psnr": value, "landmark distance": 1.0},
            100.0 + number,
        )
        for number, value in enumerate(psnr)
    ]


def findings(found: list[Result], settings: BenchSettings = SETTINGS) -> Findings:
    return Findings(SUITE, settings, lines(SUITE, settings), PAIRS, found, 128)


def cells(table: Table, row: str) -> list[str]:
    (line,) = [list(cells) for cells in table.rows if cells[0] == row]
    return line


def test_a_row_shows_the_mean_of_its_pictures_and_the_highest_memory() -> None:
    table = means_table(findings(results("input", [20.0, 21.0, 25.0], flagged=("landmark distance",))), "light")
    assert cells(table, "input") == ["input", "3", "22.00", "1.000", "3", "2.00", "102"]


def test_a_row_without_pictures_stays_in_the_table() -> None:
    table = means_table(findings(results("input", [20.0])), "light")
    assert cells(table, "4 references")[:4] == ["4 references", "0", "not measured", "not measured"]
    assert len(table.rows) == len(SUITE.rows)


def test_arrows_say_which_way_is_better() -> None:
    head = means_table(findings([]), "light").head
    assert "psnr (dB) ↑" in head
    assert "landmark distance (px of 512) ↓" in head


def test_a_picture_that_a_metric_can_not_measure_is_left_out_of_the_mean_and_counted() -> None:
    table = means_table(findings(results("input", [20.0, math.nan, 24.0])), "light")
    assert cells(table, "input")[2] == "22.00 (2)"
    assert cells(means_table(findings(results("input", [math.nan])), "light"), "input")[2] == "–"


def test_a_metric_of_a_set_has_one_value_a_row() -> None:
    settings = replace(SETTINGS, metrics=("psnr", "effnet frechet distance"))
    told = findings(results("input", [20.0, 21.0]), settings)
    told = replace(told, sets={"light": {"effnet frechet distance": {"input": 12.5}}})
    table = means_table(told, "light")
    assert table.head[3] == "effnet frechet distance ↓"
    assert cells(table, "input")[:4] == ["input", "2", "20.50", "12.50"]


def test_a_constant_gain_has_an_interval_of_no_width_in_bold() -> None:
    found = results("input", [20.0, 22.0, 27.0]) + results("no references", [21.5, 23.5, 28.5])
    row = cells(differences_table(PAIRS, SETTINGS, found), "no references − input")
    assert row == ["no references − input", "3", "**+1.500 [+1.500, +1.500]**", "+0.0000 [+0.0000, +0.0000]"]


def test_a_difference_takes_only_people_who_have_both_rows() -> None:
    found = results("input", [20.0, 22.0, 27.0]) + results("no references", [21.0, 23.0])
    assert cells(differences_table(PAIRS, SETTINGS, found), "no references − input")[1:3] == [
        "2",
        "**+1.000 [+1.000, +1.000]**",
    ]


def test_one_pair_has_no_interval_and_an_endless_value_is_counted() -> None:
    one = results("input", [20.0]) + results("no references", [21.0])
    assert cells(differences_table(PAIRS, SETTINGS, one), "no references − input")[2] == "too few"
    endless = results("input", [20.0, 20.0, float("inf")]) + results("no references", [21.0, 22.0, 23.0])
    assert cells(differences_table(PAIRS, SETTINGS, endless), "no references − input")[2] == "not finite in 1"


def test_identity_variance_is_told_a_system_and_as_a_paired_difference() -> None:
    people = {f"p{number}": Variance(0.1 * number, 0.2 * number) for number in range(1, 4)}
    lower = {name: Variance(one.total - 0.05, one.pairwise - 0.25) for name, one in people.items()}
    table = variance_table({"first": people, "second": lower}, SETTINGS)
    assert [row[:2] for row in table.rows] == [("first", "3"), ("second", "3"), ("second − first", "3")]
    assert table.rows[0][2].startswith("0.200 [")
    assert table.rows[2][2] == "**-0.0500 [-0.0500, -0.0500]**"
    assert table.rows[2][3] == "**-0.250 [-0.250, -0.250]**"


def test_the_report_names_every_row_metric_and_reason(tmp_path: Path) -> None:
    missing = Result("light", "4 references", "bob", 0, (), 0, 0.0, (), "the person has fewer than 4 other photos", {})
    told = findings([*results("input", [20.0]), missing])
    told = replace(
        told,
        missing={"niqe": "weights 'niqe' are not installed"},
        broken={"1 reference": "family 'x' is unknown"},
        left_out=[LeftOut("bob/1.jpg", "no face was found")],
    )
    path = write_report(tmp_path, told)
    for text in (path.read_text(), words(tmp_path / "report.html")):
        assert all(f"{row.name}: {row.meaning}" in text for row in SUITE.rows)
        assert all(preset in text for preset in SUITE.presets)
        assert "not measured: 4 references, 1 people: the person has fewer than 4 other photos" in text
        assert "niqe can't be measured: weights 'niqe' are not installed" in text
        assert "not measured: 1 reference: family 'x' is unknown" in text
        assert "left out: bob/1.jpg: no face was found" in text
        assert "not asked for: ssim, effnet distance" in text


def test_what_the_papers_print_stands_apart_and_at_the_end(tmp_path: Path) -> None:
    text = write_report(tmp_path, findings(results("input", [20.0]))).read_text()
    ours, published = text.split(PUBLISHED_TITLE)
    assert "| GFP-GAN |" in published and "GFP-GAN" not in ours
    assert "| input |" in ours and not re.search(r"^\| (input|no references) \|", published, flags=re.MULTILINE)


class Words(HTMLParser):
    """Collects the text of a page and sees that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.open = "", list[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def words(path: Path) -> str:
    reader = Words()
    reader.feed(path.read_text())
    assert reader.open == []
    return reader.text
