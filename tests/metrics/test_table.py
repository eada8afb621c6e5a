import math
import sys
from dataclasses import replace

import pytest
import torch

from keepface.degrade.drawn import Step
from keepface.identity.recogniser import CONDITIONING, JUDGE
from keepface.metrics.fidelity import psnr, ssim
from keepface.metrics.redegraded import Damage
from keepface.metrics.table import DEFAULT_METRICS, METRICS, SCORERS, SET_METRICS, Instruments, unavailable

SECOND = ("dlib distance", "dlib same person")
NETWORKS = {name: metric for name, metric in METRICS.items() if name not in SCORERS}


class ByFirstPixel:
    """A second judge that goes by the first pixel of a picture."""

    def describe(self, image: torch.Tensor, face: object) -> torch.Tensor:
        return 10 * image[:, 0, 0]


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    damage = Damage.of(picture(2), (Step("jpeg", {"quality": 80}),))
    return replace(Instruments.load(("perceptual distance",)), second_judge=ByFirstPixel(), damage=damage)


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_every_metric_says_what_it_is() -> None:
    fields = set(Instruments.__dataclass_fields__)
    for name, metric in METRICS.items():
        assert name == name.lower().strip() and metric.source
        assert metric.range[0] < metric.range[1]
        assert set(metric.needs) <= fields


def test_the_judge_is_not_the_net_the_model_is_led_by(instruments: Instruments) -> None:
    assert (instruments.judge.name, instruments.conditioning.name) == (JUDGE, CONDITIONING)
    assert METRICS["identity similarity"].needs[0] == "judge"


def test_equal_pictures_reach_the_better_end_of_every_metric(instruments: Instruments) -> None:
    for metric in NETWORKS.values():
        best = metric.range[1 if metric.higher_is_better else 0]
        value = metric.function(picture(), picture(), instruments).value
        assert value == best if math.isinf(best) else value == pytest.approx(best, abs=1e-5)


def test_another_picture_is_worse_and_within_the_range(instruments: Instruments) -> None:
    for name, metric in NETWORKS.items():
        value = metric.function(picture(1), picture(2), instruments).value
        worse_than_equal = not name.startswith("landmark")  # both are noise: their faces are supposed in the same place
        assert metric.range[0] <= value <= metric.range[1]
        assert not worse_than_equal or value != metric.range[1 if metric.higher_is_better else 0]


def test_pictures_of_noise_are_flagged_where_a_face_is_looked_for(instruments: Instruments) -> None:
    for metric in NETWORKS.values():
        assert metric.function(picture(1), picture(2), instruments).is_flagged == ("detector" in metric.needs)


def test_the_table_measures_as_the_functions_do(instruments: Instruments) -> None:
    a, b = picture(3), picture(4)
    assert METRICS["psnr"].function(a, b, instruments).value == pytest.approx(float(psnr(a, b)))
    assert METRICS["ssim"].function(a, b, instruments).value == pytest.approx(float(ssim(a, b)))
    expected = float(instruments.distance(a[None], b[None]))
    assert METRICS["effnet distance"].function(a, b, instruments).value == pytest.approx(expected)


def test_every_scorer_is_a_metric_and_says_so() -> None:
    assert set(SCORERS) <= set(METRICS)
    assert {name for name, metric in METRICS.items() if "scorers" in metric.needs} == set(SCORERS)
    assert not set(METRICS) & set(SET_METRICS)
    assert set(DEFAULT_METRICS) <= set(METRICS) | set(SET_METRICS)


def test_only_metrics_on_keepfaces_own_terms_are_measured_when_nobody_names_any() -> None:
    asked = {name for name, metric in (METRICS | SET_METRICS).items() if not metric.is_default}
    assert asked == {"lpips", "musiq", "maniqa", "clip-iqa", "hyperiqa", "pi", "fid"}
    assert all((METRICS | SET_METRICS)[name].licence for name in asked)


def test_a_scorer_measures_by_its_name_and_one_that_is_not_there_or_fails_is_not_a_number(
    instruments: Instruments,
) -> None:
    def refuse(restored: torch.Tensor, truth: torch.Tensor) -> float:
        raise RuntimeError("too small")

    def mean(restored: torch.Tensor, truth: torch.Tensor) -> float:
        return float(restored.mean() - truth.mean())

    given = replace(instruments, scorers={"niqe": mean, "musiq": refuse})
    a, b = torch.full((3, 64, 64), 0.75), torch.full((3, 64, 64), 0.25)
    assert METRICS["niqe"].function(a, b, given).value == pytest.approx(0.5)
    assert math.isnan(METRICS["musiq"].function(a, b, given).value)
    assert math.isnan(METRICS["pi"].function(a, b, given).value)


def test_without_its_extra_a_metric_of_the_second_judge_is_no_number_and_says_what_to_install(
    instruments: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    reasons = unavailable(("psnr", *SECOND))
    assert set(reasons) == set(SECOND)
    assert all("pip install 'keepface[judges]'" in reason for reason in reasons.values())
    without = replace(instruments, second_judge=None)
    assert all(math.isnan(METRICS[name].function(picture(1), picture(2), without).value) for name in SECOND)


def test_where_it_is_not_known_what_degraded_a_picture_its_consistency_is_no_number(instruments: Instruments) -> None:
    unknown = replace(instruments, damage=None)
    assert math.isnan(METRICS["consistency"].function(picture(1), picture(2), unknown).value)
    assert METRICS["consistency"].function(picture(1), picture(2), instruments).value < 0
