import math

import pytest
import torch

from keepface.identity.recogniser import CONDITIONING, JUDGE
from keepface.metrics.fidelity import psnr, ssim
from keepface.metrics.table import METRICS, Instruments


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.load()


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
    for metric in METRICS.values():
        best = metric.range[1 if metric.higher_is_better else 0]
        value = metric.function(picture(), picture(), instruments).value
        assert value == best if math.isinf(best) else value == pytest.approx(best, abs=1e-5)


def test_another_picture_is_worse_and_within_the_range(instruments: Instruments) -> None:
    for name, metric in METRICS.items():
        value = metric.function(picture(1), picture(2), instruments).value
        worse_than_equal = name != "landmark distance"  # both are noise: their faces are supposed in the same place
        assert metric.range[0] <= value <= metric.range[1]
        assert not worse_than_equal or value != metric.range[1 if metric.higher_is_better else 0]


def test_pictures_of_noise_are_flagged_where_a_face_is_looked_for(instruments: Instruments) -> None:
    for metric in METRICS.values():
        assert metric.function(picture(1), picture(2), instruments).is_flagged == ("detector" in metric.needs)


def test_the_table_measures_as_the_functions_do(instruments: Instruments) -> None:
    a, b = picture(3), picture(4)
    assert METRICS["psnr"].function(a, b, instruments).value == pytest.approx(float(psnr(a, b)))
    assert METRICS["ssim"].function(a, b, instruments).value == pytest.approx(float(ssim(a, b)))
    expected = float(instruments.distance(a[None], b[None]))
    assert METRICS["effnet distance"].function(a, b, instruments).value == pytest.approx(expected)
