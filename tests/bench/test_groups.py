"""People in groups: by collection and by turned heads; the suite for methods led by references tells them apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keepface.bench.groups import STRONG_TURN, groups, turned_apart
from keepface.bench.photos import damaged, degraded
from keepface.bench.plan import Target, plan
from keepface.bench.report import means_table
from keepface.bench.results import Journal
from keepface.bench.run import measure
from keepface.bench.settings import BenchSettings
from keepface.bench.suite import SUITES
from keepface.errors import RecipeError
from keepface.faces.align import ffhq_template
from keepface.metrics.table import DEFAULT_METRICS, METRICS

from .drawn import DrawnPhotos, PlainRestorer

COUNTS = {"ann": 5, "bob": 2, "cid": 5}
SUITE = replace(SUITES["guided"], presets=("medium",))
SETTINGS = BenchSettings(metrics=("psnr", "consistency"), pictures=0, batch=4, resamples=20)


class Turned:
    """Photos of one person, each turned by a known share of the eyes' distance."""

    def __init__(self, *turns: float, angle: float = 0.0) -> None:
        self.turns, self.angle = turns, angle

    def points(self, index: int) -> np.ndarray:
        points = ffhq_template(512).copy()
        right = points[1] - points[0]
        points[2] = (points[0] + points[1]) / 2 + self.turns[index] * right + [0, 70]
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return 0.3 * points @ np.array([[cosine, sine], [-sine, cosine]]) + 9


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_heads_are_turned_apart_by_the_mean_difference_of_the_noses_places(angle: float) -> None:
    photos = Turned(0.25, -0.05, 0.15, 0.25, 0.0, 9.0, angle=angle)
    target = Target("ann", 0, (1, 2, 3, 4, 5), None, ())  # the last of the others leads no row
    assert turned_apart(target, photos.points) == pytest.approx((0.3 + 0.1 + 0 + 0.25) / 4, abs=2e-3)


def test_people_are_grouped_by_collection_and_by_strong_turns() -> None:
    photos = DrawnPhotos(COUNTS)
    targets = plan(photos.identities, photos.native_px)
    found = {group.name: group.people for group in groups(photos, targets)}
    assert found == {"source first": {"ann", "bob"}, "source second": {"cid"}, "strong turns": {"bob"}}
    assert turned_apart(targets[1], photos.points) == pytest.approx(0.3, abs=1e-3) and STRONG_TURN < 0.3


def test_one_collection_and_no_turned_head_make_no_groups() -> None:
    photos = DrawnPhotos({"ann": 5, "amy": 2})
    assert groups(photos, plan(photos.identities, photos.native_px)) == ()


def test_the_suite_of_guided_methods_tells_every_group_by_itself(tmp_path: Path) -> None:
    outcome = measure(SUITE, DrawnPhotos(COUNTS), tmp_path, SETTINGS, lambda _: PlainRestorer())
    text = outcome.report.read_text()
    assert "squares of 32 px, degraded as hard on the face as squares of 128 px" in text
    for title in ("source first: 2 people", "source second: 1 people", "strong turns: 1 people"):
        assert f"### medium, {title}" in text
    results = Journal(tmp_path, SETTINGS.picture_metrics).read()
    mean = np.mean([one.values["psnr"] for one in results if one.row == "input" and one.person != "cid"])
    assert f"| input | 2 | {mean:.2f} |" in text.split("source first: 2 people")[1].split("###")[0]
    assert outcome.not_measured == 0


def test_a_table_of_a_group_holds_its_people_alone(tmp_path: Path) -> None:
    from keepface.bench.lines import comparisons, lines
    from keepface.bench.report import Findings

    photos = DrawnPhotos(COUNTS)
    measure(SUITE, photos, tmp_path, SETTINGS, lambda _: PlainRestorer())
    settings = SETTINGS.of(SUITE)
    results = Journal(tmp_path, settings.picture_metrics).read()
    told = Findings(SUITE, settings, lines(SUITE, settings), comparisons(SUITE, settings), results, 32)
    (group,) = [one for one in groups(photos, plan(photos.identities, photos.native_px)) if one.name == "strong turns"]
    assert {result.person for result in told.of(group).results} == {"bob"}
    assert [row[1] for row in means_table(told.of(group), "medium").rows] == ["1"] * len(SUITE.rows)


def test_a_suite_says_what_is_measured_and_how_hard_unless_the_settings_do() -> None:
    asked = BenchSettings().of(SUITE)
    assert asked.metrics == SUITE.metrics and asked.damage_px == 128
    assert not {"effnet distance", "conditioning similarity"} & set(SUITE.metrics)
    assert set(SUITE.metrics) <= METRICS.keys()
    own = BenchSettings(metrics=("psnr",), damage_px=0).of(SUITE)
    assert own.metrics == ("psnr",) and own.damage_px is None
    assert BenchSettings().of(SUITES["compact"]) == BenchSettings(metrics=DEFAULT_METRICS)


@pytest.mark.parametrize("preset", ["light", "medium", "heavy"])
def test_a_larger_square_is_damaged_as_the_small_one_where_that_is_asked(preset: str) -> None:
    photos = DrawnPhotos({"ann": 2})
    small, large = photos.square(0, 128), photos.square(0, 256)
    as_small = damaged(large, preset, "ann", 0, damage_px=128)
    assert as_small.steps[1] == damaged(small, preset, "ann", 0).steps[1]
    assert damaged(large, preset, "ann", 0).steps[1] != as_small.steps[1]
    assert damaged(large, preset, "ann", 0).low.equal(degraded(large, preset, "ann", 0))


def test_a_preset_that_counts_pixels_twice_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    suite = replace(SUITE, presets=("pf-heavy",))
    with pytest.raises(RecipeError, match="preset pf-heavy: .* give --damage-px 0"):
        measure(suite, DrawnPhotos(COUNTS), tmp_path / "out", SETTINGS, lambda _: PlainRestorer())
    assert not (tmp_path / "out").exists()
    own = replace(SETTINGS, damage_px=0, limit=1)
    assert measure(suite, DrawnPhotos(COUNTS), tmp_path / "out", own, lambda _: PlainRestorer()).not_measured == 0
