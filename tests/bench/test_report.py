"""The report's tables hold the arithmetic of the results, and say what is missing."""

from pathlib import Path

from keepface.bench.report import differences_table, means_table, write_report
from keepface.bench.results import Result
from keepface.bench.suite import SUITES, BenchSettings

SUITE = SUITES["compact"]
SETTINGS = BenchSettings(metrics=("psnr", "landmark distance"), resamples=200)


def results(row: str, psnr: list[float], flagged: tuple[str, ...] = ()) -> list[Result]:
    return [
        Result(
            "light", row, f"person {number}", number, (), 0, 2.0, flagged, "", {"psnr": value, "landmark distance": 1.0}
        )
        for number, value in enumerate(psnr)
    ]


def cells(table: str, row: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_shows_the_mean_of_its_pictures() -> None:
    table = means_table(SUITE, SETTINGS.metrics, results("input", [20.0, 21.0, 25.0], flagged=("landmark distance",)))
    assert cells(table, "input") == ["input", "3", "22.00", "1.000", "3", "2.00"]


def test_a_row_without_pictures_stays_in_the_table() -> None:
    table = means_table(SUITE, SETTINGS.metrics, results("input", [20.0]))
    assert cells(table, "4 references")[:4] == ["4 references", "0", "not measured", "not measured"]
    assert len(table.splitlines()) == 2 + len(SUITE.rows)


def test_arrows_say_which_way_is_better() -> None:
    head = means_table(SUITE, SETTINGS.metrics, []).splitlines()[0]
    assert "psnr (dB) ↑" in head
    assert "landmark distance (px of 512) ↓" in head


def test_a_constant_gain_has_an_interval_of_no_width_in_bold() -> None:
    found = results("input", [20.0, 22.0, 27.0]) + results("no references", [21.5, 23.5, 28.5])
    row = cells(differences_table(SUITE, SETTINGS, found), "no references − input")
    assert row == ["no references − input", "3", "**+1.500 [+1.500, +1.500]**", "+0.0000 [+0.0000, +0.0000]"]


def test_a_difference_takes_only_people_who_have_both_rows() -> None:
    found = results("input", [20.0, 22.0, 27.0]) + results("no references", [21.0, 23.0])
    assert cells(differences_table(SUITE, SETTINGS, found), "no references − input")[1:3] == [
        "2",
        "**+1.000 [+1.000, +1.000]**",
    ]


def test_one_pair_has_no_interval_and_an_endless_value_is_counted() -> None:
    one = results("input", [20.0]) + results("no references", [21.0])
    assert cells(differences_table(SUITE, SETTINGS, one), "no references − input")[2] == "too few"
    endless = results("input", [20.0, 20.0, float("inf")]) + results("no references", [21.0, 22.0, 23.0])
    assert cells(differences_table(SUITE, SETTINGS, endless), "no references − input")[2] == "not finite in 1"


def test_the_report_names_every_row_metric_and_reason(tmp_path: Path) -> None:
    missing = Result("light", "4 references", "bob", 0, (), 0, 0.0, (), "the person has fewer than 4 other photos", {})
    path = write_report(tmp_path, SUITE, SETTINGS, [*results("input", [20.0]), missing], {})
    text = path.read_text()
    assert all(f"* {row.name}: {row.meaning}" in text for row in SUITE.rows)
    assert all(f"## {preset}" in text for preset in SUITE.presets)
    assert "* not measured: 4 references, 1 people: the person has fewer than 4 other photos" in text
