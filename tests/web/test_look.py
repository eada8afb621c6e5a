"""The page's colours can be read, by the rule of the Web Content Accessibility Guidelines."""

import re

import pytest

from keepface.web.look import FONT, PALETTE, PART_PAIRS, TEXT_PAIRS, contrast, css


@pytest.mark.parametrize("one, other, ratio", [
    ("#000000", "#ffffff", 21.0),
    ("#ffffff", "#ffffff", 1.0),
    ("#767676", "#ffffff", 4.54),  # the lightest grey that is read on white, as the guidelines' own tools say
    ("#ff0000", "#ffffff", 3.998),
])  # fmt: skip
def test_contrast_is_that_of_the_guidelines(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_every_text_and_every_edge_stands_out_enough(shade: str) -> None:
    def weak(pairs: tuple[tuple[str, str], ...], least: float) -> list[tuple[str, str]]:
        return [pair for pair in pairs if contrast(*(PALETTE[name][shade] for name in pair)) < least]  # type: ignore[index]

    assert weak(TEXT_PAIRS, 4.5) == [] and weak(PART_PAIRS, 3.0) == []


def test_the_sheet_fetches_nothing_and_every_colour_in_it_is_defined() -> None:
    sheet = css()
    assert "url(" not in sheet and "@import" not in sheet and "http" not in sheet
    used = set(re.findall(r"var\((--kf-[\w-]+)\)", sheet))
    defined = set(re.findall(r"(--kf-[\w-]+):", sheet))
    assert used and used <= defined
    assert all(isinstance(name, str) for name in FONT)  # names of the machine's own fonts
