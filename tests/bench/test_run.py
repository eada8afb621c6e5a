"""A whole suite over drawn people: what it measures is known beforehand, and a stopped run goes on where it was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from keepface.bench.results import Journal
from keepface.bench.run import Outcome, measure
from keepface.bench.settings import BenchSettings
from keepface.bench.suite import SUITES
from keepface.errors import DataError, RecipeError
from keepface.image.files import read_photo

from .drawn import SIZE, DrawnPhotos, PlainRestorer

METRICS = ("psnr", "ssim")
COUNTS = {"ann": 5, "bob": 2, "cid": 5}
SETTINGS = BenchSettings(metrics=METRICS, pictures=2, batch=2, resamples=50)
SUITE = replace(SUITES["compact"], presets=("light", "heavy"))
PICTURES = len(SUITE.presets) * len(SUITE.rows) * len(COUNTS)
NOT_MEASURED = 2 * 3  # bob has no second, third or fourth reference, under each preset


def run(out: Path, settings: BenchSettings = SETTINGS) -> tuple[Outcome, PlainRestorer]:
    restorer = PlainRestorer()
    return measure(SUITE, DrawnPhotos(COUNTS), out, settings, lambda _: restorer), restorer


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("suite")
    outcome, _ = run(out)
    assert outcome == Outcome(out / "report.md", PICTURES, 0, NOT_MEASURED)
    return out


def test_a_restorer_that_does_nothing_scores_what_its_input_scores(finished: Path) -> None:
    results = Journal(finished, METRICS).read()
    inputs = {(item.preset, item.person): item.values for item in results if item.row == "input"}
    restored = [item for item in results if item.row not in ("input", "round trip") and not item.note]
    assert len(restored) == PICTURES - NOT_MEASURED - 2 * len(inputs)
    assert all(item.values == inputs[item.preset, item.person] for item in restored)


def test_an_autoencoder_that_keeps_everything_has_no_error_to_speak_of(finished: Path) -> None:
    values = [item.values for item in Journal(finished, METRICS).read() if item.row == "round trip"]
    assert all(item["psnr"] > 120 and item["ssim"] > 0.999999 for item in values)


def test_a_heavier_preset_leaves_less_of_the_picture(finished: Path) -> None:
    results = [item for item in Journal(finished, METRICS).read() if item.row == "input"]
    psnr = {(item.preset, item.person): item.values["psnr"] for item in results}
    assert all(psnr["light", person] > psnr["heavy", person] for person in COUNTS)


def test_every_row_of_one_target_starts_from_the_same_seed_and_targets_from_different_ones(finished: Path) -> None:
    results = [item for item in Journal(finished, METRICS).read() if not item.note]
    seeds = {
        (item.preset, item.person): {other.seed for other in results if other.key[::2] == item.key[::2]}
        for item in results
    }
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set.union(*seeds.values())) == len(seeds)


def test_what_can_not_be_measured_has_a_line_with_its_reason(finished: Path) -> None:
    notes = [(item.person, item.row, item.note) for item in Journal(finished, METRICS).read() if item.note]
    rows = ("2 references", "3 references", "4 references")
    assert notes == [("bob", row, f"the person has fewer than {row[0]} other photos") for row in rows] * 2


def test_nothing_is_measured_twice(finished: Path) -> None:
    before = (finished / "results.csv").read_bytes()
    outcome, restorer = run(finished)
    assert (outcome.measured, outcome.kept) == (0, PICTURES)
    assert restorer.calls == []
    assert (finished / "results.csv").read_bytes() == before


def test_a_stopped_run_ends_with_the_values_of_one_that_was_not(finished: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= total // 2:
            raise StopError

    with pytest.raises(StopError):
        measure(SUITE, DrawnPhotos(COUNTS), tmp_path, SETTINGS, lambda _: PlainRestorer(), stop)
    outcome, _ = run(tmp_path)
    assert 0 < outcome.kept < PICTURES
    assert outcome.kept + outcome.measured == PICTURES
    whole, resumed = (
        {item.key: (item.seed, item.led_by, item.values) for item in Journal(out, METRICS).read()}
        for out in (finished, tmp_path)
    )
    assert whole == resumed


def test_a_short_run_can_be_made_longer(tmp_path: Path) -> None:
    first, _ = run(tmp_path, replace(SETTINGS, limit=1))
    assert first.measured == PICTURES // 3
    second, _ = run(tmp_path)
    assert (second.kept, second.measured) == (PICTURES // 3, PICTURES - PICTURES // 3)


def test_a_run_of_one_preset_is_the_suite_s_table_of_that_preset(finished: Path, tmp_path: Path) -> None:
    outcome, _ = run(tmp_path, replace(SETTINGS, presets=("heavy",)))
    assert (outcome.measured, outcome.not_measured) == (PICTURES // 2, NOT_MEASURED // 2)
    alone, whole = ({item.key: item.values for item in Journal(out, METRICS).read()} for out in (tmp_path, finished))
    assert alone == {key: values for key, values in whole.items() if key[0] == "heavy"}
    later, _ = run(tmp_path, replace(SETTINGS, presets=("light",)))
    assert (later.measured, later.kept, later.not_measured) == (PICTURES // 2, 0, NOT_MEASURED // 2)
    assert "## light" in later.report.read_text() and "## heavy" not in later.report.read_text()


def test_a_preset_that_is_none_or_twice_there_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown preset 'dark'; known presets: .*medium"):
        BenchSettings(presets=("dark",))
    with pytest.raises(RecipeError, match="a preset is named twice: light, light"):
        BenchSettings(presets=("light", "light"))


def test_results_of_another_seed_are_not_mixed_in(finished: Path) -> None:
    with pytest.raises(DataError, match="measured with seed = 0, this run has 5"):
        run(finished, replace(SETTINGS, seed=5))


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    photos, restorer = DrawnPhotos(COUNTS), PlainRestorer()
    measure(SUITE, photos, tmp_path, SETTINGS, lambda _: restorer, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (PICTURES, PICTURES)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_rows_lead_with_as_many_photos_as_they_say(finished: Path) -> None:
    led = {(item.row, len(item.led_by)) for item in Journal(finished, METRICS).read() if not item.note}
    counts = {row.name: row.references for row in SUITE.rows}
    assert led == set(counts.items())


def test_some_rows_are_measured_as_in_the_whole_run_and_the_rest_may_follow(finished: Path, tmp_path: Path) -> None:
    photos, restorer = DrawnPhotos(COUNTS), PlainRestorer()
    some = measure(SUITE, photos, tmp_path, replace(SETTINGS, rows=("1 reference",)), lambda _: restorer)
    assert some.measured == len(SUITE.presets) * 2 * len(COUNTS)  # the input too
    whole = {item.key: item.values for item in Journal(finished, METRICS).read()}
    assert {item.key: item.values for item in Journal(tmp_path, METRICS).read()}.items() <= whole.items()
    assert measure(SUITE, photos, tmp_path, SETTINGS, lambda _: restorer).kept == some.measured


def test_a_row_without_any_picture_has_no_column_in_the_grid(tmp_path: Path) -> None:
    photos = DrawnPhotos({"bob": 2, "cid": 2})  # nobody has four references, nor a stranger who has them
    written = measure(SUITE, photos, tmp_path, SETTINGS, lambda _: PlainRestorer())
    drawn = {item.row for item in Journal(tmp_path, METRICS).read() if not item.note}
    sheet = read_photo(tmp_path / "grid-light.png").pixels
    assert sheet.shape[2] == (2 + len(drawn)) * (SIZE + 4) - 4 and len(drawn) == len(SUITE.rows) - 4
    assert "4 references" not in written.report.read_text().split("left to right")[1].splitlines()[0]


def test_the_grid_shows_truth_reference_and_every_row(finished: Path) -> None:
    sheet = read_photo(finished / "grid-light.png").pixels
    pitch = SIZE + 4
    assert sheet.shape == (3, 2 * pitch - 4, (2 + len(SUITE.rows)) * pitch - 4)
    truth = DrawnPhotos(COUNTS).square(0, SIZE)
    assert float((sheet[:, :SIZE, :SIZE] - truth).abs().max()) <= 0.5 / 255 + 1e-6
    blank = sheet[:, pitch:, (2 + 6) * pitch : (2 + 6) * pitch + SIZE]  # bob has no four references
    assert torch.equal(blank, torch.ones_like(blank))
