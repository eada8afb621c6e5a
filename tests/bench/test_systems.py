"""Several systems in one table: each has its lines, one that can't be loaded has its reason, more may join."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.lines import System
from keepface.bench.makers import SystemMaker
from keepface.bench.results import Journal
from keepface.bench.run import Outcome, measure
from keepface.bench.settings import BenchSettings, Blind
from keepface.bench.suite import SUITES, Row
from keepface.data.reference_photos import coarsen
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError, WeightsError
from keepface.identity.embed import IdentityFeatures
from keepface.seeds import generator

from .drawn import SIZE, DrawnPhotos, PlainRestorer

COUNTS = {"ann": 5, "bob": 2, "cid": 5}
SETTINGS = BenchSettings(families=("plain", "tinted"), metrics=("psnr",), pictures=1, batch=2, resamples=20)
SUITE = replace(SUITES["compact"], presets=("light",))


class TintedRestorer(PlainRestorer):
    """Gives each square back moved towards the mean colour of its first reference."""

    share = 0.2

    def restore_squares(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
        weights: object = None,
        progress: object = None,
    ) -> Float[Tensor, "b 3 s s"]:
        colours = torch.stack([own[0].image if own else torch.zeros(3) for own in references])
        return (1 - self.share) * low + self.share * colours.view(-1, 3, 1, 1)


def load(system: System) -> PlainRestorer:
    if system.family == "missing":
        raise WeightsError("family 'missing' is unknown; bundled: compact")
    return TintedRestorer() if system.family == "tinted" else PlainRestorer()


def run(out: Path, settings: BenchSettings, name: str = "compact") -> Outcome:
    suite = SUITE if name == "compact" else replace(SUITES[name], presets=("light",))
    return measure(suite, DrawnPhotos(COUNTS), out, settings, load)


def values(out: Path, row: str) -> dict[str, float]:
    return {
        item.person: item.values["psnr"] for item in Journal(out, ("psnr",)).read() if item.row == row and not item.note
    }


def test_each_system_restores_on_lines_of_its_own_and_the_input_is_there_once(tmp_path: Path) -> None:
    outcome = run(tmp_path, SETTINGS)
    assert outcome.measured == (1 + 2 * (len(SUITE.rows) - 1)) * len(COUNTS)
    plain, tinted = (values(tmp_path, f"FaceMe on {name}, 1 reference") for name in ("plain", "tinted"))
    assert plain == values(tmp_path, "input") != tinted
    text = outcome.report.read_text()
    assert "| FaceMe on tinted, 1 reference − FaceMe on plain, 1 reference | 3 |" in text


def test_a_system_without_weights_is_rows_with_the_reason_and_is_measured_once_they_are_there(tmp_path: Path) -> None:
    outcome = run(tmp_path, replace(SETTINGS, families=("plain", "missing")))
    text = outcome.report.read_text()
    assert "| FaceMe on missing, 1 reference | 0 | not measured |" in text
    assert "* not measured: round trip on missing; FaceMe on missing, no references; FaceMe on missing, 1 ref" in text
    assert "FaceMe on missing, truth as reference: family 'missing' is unknown; bundled: compact" in text
    assert outcome.measured == len(SUITE.rows) * len(COUNTS)
    assert outcome.not_measured == (len(SUITE.rows) - 1) * len(COUNTS) + 3  # and bob's three rows
    later = run(tmp_path, SETTINGS)
    assert later.kept == len(SUITE.rows) * len(COUNTS) and later.measured == (len(SUITE.rows) - 1) * len(COUNTS)


def test_a_first_system_without_weights_leaves_the_size_to_the_next(tmp_path: Path) -> None:
    run(tmp_path, replace(SETTINGS, families=("missing", "plain")))
    assert len(values(tmp_path, "FaceMe on plain, no references")) == 3


def test_when_nothing_can_be_loaded_the_run_ends_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="family 'missing' is unknown"):
        run(tmp_path, replace(SETTINGS, families=("missing",)))


def test_a_blind_restorer_that_can_not_be_loaded_is_a_row_with_its_reason(tmp_path: Path) -> None:
    settings = replace(SETTINGS, families=("plain",), blind=(Blind("GFPGAN", str(tmp_path / "no.safetensors")),))
    text = run(tmp_path / "out", settings).report.read_text()
    assert "| GFPGAN (blind) | 0 | not measured |" in text
    assert "not measured: GFPGAN (blind):" in text and "there is no such file of weights" in text


def test_a_batch_that_fails_is_rows_and_is_tried_again(tmp_path: Path) -> None:
    class Failing(PlainRestorer):
        def restore_squares(self, low, references, settings, seeds, weights=None, progress=None):  # type: ignore[no-untyped-def]
            if len(references[0]) == 4:
                raise RuntimeError("out of memory\nmore words")
            return low

    settings = replace(SETTINGS, families=("plain",))
    first = measure(SUITE, DrawnPhotos(COUNTS), tmp_path, settings, lambda _: Failing())
    notes = {item.note for item in Journal(tmp_path, ("psnr",)).read() if item.row == "4 references"}
    assert notes == {"failed: out of memory", "the person has fewer than 4 other photos"}
    second = run(tmp_path, settings)
    assert second.measured == 5  # ann and cid under four references, and all three under the wrong person's
    assert first.not_measured - second.not_measured == 5


def test_a_picture_that_is_no_picture_is_a_row_with_its_reason(tmp_path: Path) -> None:
    class Broken(PlainRestorer):
        def restore_squares(self, low, references, settings, seeds, weights=None, progress=None):  # type: ignore[no-untyped-def]
            return low * torch.tensor([torch.nan if own else 1.0 for own in references]).view(-1, 1, 1, 1)

    outcome = measure(SUITE, DrawnPhotos({"ann": 5}), tmp_path, SETTINGS, lambda _: Broken())
    assert "the picture made holds values that are no numbers" in outcome.report.read_text()
    assert len(values(tmp_path, "FaceMe on plain, no references")) == 1
    assert values(tmp_path, "FaceMe on plain, 1 reference") == {}


def test_references_of_another_resolution_and_pose_lead_by_what_they_are(tmp_path: Path) -> None:
    settings = replace(SETTINGS, families=("tinted",))
    run(tmp_path, settings, "references")
    led = {(item.row, item.person): item.led_by for item in Journal(tmp_path, ("psnr",)).read() if not item.note}
    assert led["reference at 64 px", "ann"] == led["1 reference", "ann"]
    assert values(tmp_path, "reference at 64 px")["ann"] == pytest.approx(
        values(tmp_path, "1 reference")["ann"], abs=0.1
    )
    assert led["most alike", "ann"] != led["least alike", "ann"]
    assert ("most alike", "bob") not in led  # bob has one other photo


def test_identity_variance_is_zero_where_references_do_not_count_and_more_where_they_do(tmp_path: Path) -> None:
    outcome = run(tmp_path, SETTINGS, "alignment")
    lines = [
        line for line in outcome.report.read_text().splitlines() if "I.V." in line or line.startswith("| FaceMe on")
    ]
    cells = {
        line.split("|")[1].strip(): line.split("|")[2:4]
        for line in lines[lines.index(next(x for x in lines if "I.V." in x)) :]
    }
    assert [cell.strip() for cell in cells["FaceMe on plain"]] == ["2", "0.0000 [0.0000, 0.0000]"]
    count, variance = (cell.strip() for cell in cells["FaceMe on tinted"])
    assert count == "2" and 0 < float(variance.split()[0]) <= 1
    assert "FaceMe on tinted − FaceMe on plain" in cells


def test_a_run_at_another_size_gives_pictures_of_that_size(tmp_path: Path) -> None:
    settings = replace(SETTINGS, families=("plain",), size=48)
    run(tmp_path, settings)
    from keepface.image.files import read_photo

    (path, *_) = sorted((tmp_path / "pictures" / "light").rglob("000.png"))
    assert read_photo(path).pixels.shape == (3, 48, 48)


def test_an_unknown_suite_size_is_refused() -> None:
    with pytest.raises(RecipeError, match="size is 8; it must be 16 or more"):
        BenchSettings(size=8)


def test_a_shrunk_reference_keeps_its_size_and_loses_its_detail() -> None:
    square = torch.rand(3, 64, 64, generator=generator(0, "detail"))
    assert torch.equal(coarsen(square, 512 / 512), square)
    small = coarsen(square, 64 / 512)
    assert small.shape == square.shape
    assert float(small.std()) < 0.5 * float(square.std())
    assert float(small.mean()) == pytest.approx(float(square.mean()), abs=0.02)


def test_a_drawn_side_lies_between_its_ends_and_is_the_same_again() -> None:
    row = Row("mixed", "", references=1, reference_px=(64, 512))
    makers = [SystemMaker(PlainRestorer(), DrawnPhotos(COUNTS), SETTINGS) for _ in range(2)]
    sides = [[maker._side(row, index) for index in range(12)] for maker in makers]
    assert sides[0] == sides[1]
    assert min(sides[0]) >= 64 and max(sides[0]) <= 512 and len(set(sides[0])) > 6
    assert np.isclose(SIZE, makers[0]._restorer.size)
