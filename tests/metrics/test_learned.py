"""Scores of pyiqa, asked through a stand-in package of the same calls: the real one is large and fetches weights."""

import sys
from pathlib import Path

import pytest
import torch

from keepface.errors import MissingExtraError, WeightsError
from keepface.metrics.learned import LearnedScore, fid
from keepface.metrics.table import Instruments, load_scorers

STAND_IN = """
import torch


class Score:
    def __init__(self, name):
        self.metric_mode = "FR" if name == "lpips" else "NR"

    def __call__(self, target, ref=None):
        if isinstance(target, str):
            return torch.tensor(float(len(target) - len(ref)))
        if self.metric_mode == "FR":
            return (target - ref).abs().mean().view(1)
        return target.mean().view(1, 1)


def create_metric(name, device):
    if name == "hyperiqa":
        raise OSError("no way to the net\\nand more")
    return Score(name)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyiqa.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pyiqa", raising=False)


def test_a_score_of_one_picture_sees_that_picture_alone_and_a_score_of_a_pair_both(stand_in: None) -> None:
    a, b = torch.full((3, 8, 8), 0.75), torch.full((3, 8, 8), 0.25)
    assert LearnedScore("musiq")(a, b) == pytest.approx(0.75)
    assert LearnedScore("lpips")(a, b) == pytest.approx(0.5)


def test_the_fid_is_of_two_folders(stand_in: None) -> None:
    assert fid(Path("abcde"), Path("abc")) == 2


def test_what_can_not_be_built_says_why_in_one_line(stand_in: None) -> None:
    with pytest.raises(WeightsError, match="pyiqa can't build 'hyperiqa': no way to the net$"):
        LearnedScore("hyperiqa")
    scorers, missing = load_scorers(("musiq", "hyperiqa", "psnr"))
    assert list(scorers) == ["musiq"] and list(missing) == ["hyperiqa"]


def test_without_the_package_the_reason_names_the_extra_and_the_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(MissingExtraError, match=r"PolyForm Noncommercial.*pip install 'keepface\[learned-scores\]'"):
        LearnedScore("musiq")
    assert "keepface[learned-scores]" in load_scorers(("musiq",))[1]["musiq"]


def test_scorers_are_loaded_only_when_a_metric_asks_for_them() -> None:
    assert load_scorers(("psnr", "ssim")) == ({}, {})
    assert Instruments.__dataclass_fields__["scorers"].default_factory() == {}  # type: ignore[misc]
