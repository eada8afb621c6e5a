"""What a run may be asked for, and how a line of its tables is named."""

from dataclasses import replace

import pytest

from keepface.bench.lines import comparisons, lines, varied
from keepface.bench.settings import BenchSettings, Blind, parse_blind
from keepface.bench.suite import SUITES
from keepface.errors import RecipeError
from keepface.metrics.table import DEFAULT_METRICS, METRICS, SET_METRICS

SUITE = SUITES["compact"]


def test_what_is_not_known_names_what_is() -> None:
    with pytest.raises(RecipeError, match="unknown metric 'vmaf'; known metrics: psnr"):
        BenchSettings(metrics=("vmaf",))
    with pytest.raises(
        RecipeError, match="unknown method 'codeformer'; known methods: guided, faceme, ridfr, pfstorer"
    ):
        BenchSettings(methods=("codeformer",))
    with pytest.raises(RecipeError, match="limit is 0; it must be 1 or more"):
        BenchSettings(limit=0)
    with pytest.raises(RecipeError, match="a family is named twice: a, a"):
        BenchSettings(families=("a", "a"))


def test_metrics_are_of_pictures_or_of_sets_and_none_is_under_narrow_terms_by_default() -> None:
    settings = BenchSettings(metrics=("psnr", "fid"))
    assert (settings.picture_metrics, settings.set_metrics) == (("psnr",), ("fid",))
    assert not any((METRICS | SET_METRICS)[name].licence for name in DEFAULT_METRICS)


def test_a_blind_restorer_is_written_name_equals_file() -> None:
    assert parse_blind("GFPGAN=a=b.safetensors") == Blind("GFPGAN", "a=b.safetensors")
    for text in ("a.safetensors", "=a.safetensors", "GFPGAN="):
        with pytest.raises(RecipeError, match="write it as NAME=FILE.safetensors"):
            parse_blind(text)


def test_one_system_leaves_the_rows_their_plain_names() -> None:
    settings = BenchSettings()
    assert [line.name for line in lines(SUITE, settings)] == [row.name for row in SUITE.rows]
    assert comparisons(SUITE, settings) == list(SUITE.comparisons)
    assert list(varied(SUITES["alignment"], settings)) == ["FaceMe"]


def test_several_systems_have_rows_of_their_own_and_are_compared_with_each_other() -> None:
    settings = BenchSettings(families=("runs/a", "runs/b"))
    names = [line.name for line in lines(SUITE, settings)]
    assert names[0] == "input" and names.count("input") == 1
    assert {"round trip on a", "round trip on b"} <= set(names)
    assert {"FaceMe on a, 1 reference", "FaceMe on b, wrong person"} <= set(names)
    assert len(set(names)) == len(names) == 1 + 2 * (len(SUITE.rows) - 1)
    assert ("FaceMe on b, 1 reference", "FaceMe on a, 1 reference") in comparisons(SUITE, settings)
    assert {name for pair in comparisons(SUITE, settings) for name in pair} <= set(names)


def test_families_of_one_name_are_told_apart_by_their_folders() -> None:
    settings = BenchSettings(families=("first/family", "second/family"))
    names = {line.name for line in lines(SUITE, settings)}
    assert {"FaceMe on first/family, 1 reference", "FaceMe on second/family, 1 reference"} <= names


def test_a_blind_restorer_is_a_line_and_every_system_is_compared_with_it() -> None:
    settings = replace(BenchSettings(), blind=(Blind("GFPGAN", "gfpgan.safetensors"),))
    assert lines(SUITE, settings)[-1].name == "GFPGAN (blind)"
    assert ("GFPGAN (blind)", "input") in comparisons(SUITE, settings)
    assert ("4 references", "GFPGAN (blind)") in comparisons(SUITE, settings)
