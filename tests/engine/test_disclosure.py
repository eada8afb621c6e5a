import re
from html.parser import HTMLParser

import pytest
import torch

from keepface.engine.disclosure import NOTHING, STATEMENT, Disclosed, difference, report
from keepface.engine.evidence import Evidence, Shares
from keepface.engine.provenance import Options
from keepface.engine.ranking import Candidate
from keepface.engine.reasons import Reason
from keepface.engine.result import FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.engine.sidecar import ReferenceHash, Sources, Written, describe
from keepface.image.files import Photo

from .plain_restorer import Method


def disclosed(is_restored: bool = True) -> Disclosed:
    before = Photo(torch.full((3, 40, 60), 0.5), source="old.jpg")
    pixels = before.pixels.clone()
    if is_restored:
        pixels[0, 10:20, 30:50] = 0.75
    table = (Candidate(7, 0.5, 0.4, 30.0, 5.0, 1.5, True), Candidate(8, 0.4, 0.5, 29.0, None, -1.5))
    likeness = Similarity(0.123, 0.456, 0.789)
    box = (30.0, 10.0, 50.0, 20.0)
    face = FaceResult(
        box,
        "restored" if is_restored else "unchanged",
        (Reason("unlikely_match", {"person": "anna", "probability": 0.01}),),
        likeness,
        7,
        "plain",
        "anna",
        0.9,
        candidates=table,
    )
    maps = torch.zeros(3, 40, 60)
    maps[0] = 1
    evidence = Evidence(maps, (Shares(0, 0.7, 0.2, 0.1, 0.4),), 4)
    result = Restoration(Photo(pixels), "old.jpg", (face,), 1.0, RestoreSettings(), evidence=evidence)
    sources = Sources("ab" * 32, (ReferenceHash("cd" * 32, 0.5),))
    sidecar = describe(result, Method(), Options(RestoreSettings(), 7), sources, Written("PNG", b"x"))
    return Disclosed(before, result, sidecar)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_says_who_what_where_and_how_sure() -> None:
    page = report(disclosed())
    for said in (STATEMENT, "ab" * 32, "cd" * 32, "200 of 2,400 (8.33 %)", "from 30, 10 to 49, 19", "64 of 255"):
        assert said in page
    for said in ("0.123", "0.456", "0.789", "0.900", "70.0 %", "20.0 %", "10.0 %", "40.0 %", "7 (chosen)", "1.50"):
        assert said in page
    assert (
        "most like somebody of the library, but hardly this person" in page
        and "anna" not in page
        and "old.jpg" not in page
    )


def test_the_page_is_whole_and_needs_nothing_from_anywhere() -> None:
    page = report(disclosed())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert len(tags.sources) == 4 and all(source.startswith("data:image/png;base64,") for source in tags.sources)
    without_pictures = re.sub(r'src="data:[^"]*"', "", page)
    assert "<script" not in page and "@import" not in page and "url(" not in page
    assert re.findall(r"(?:https?:)?//[\w.]+", without_pictures) == []
    assert "@media print" in page


def test_a_photo_left_alone_is_said_to_be_what_it_was() -> None:
    page = report(disclosed(is_restored=False))
    assert NOTHING in page and STATEMENT not in page and "0 of 2,400" in page


def test_a_difference_is_drawn_four_times_as_strong_and_black_where_there_is_none() -> None:
    before, after = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2)
    after[1, 0, 0], after[2, 1, 1] = 0.125, 0.9
    drawn = difference(before, after)
    assert drawn[:, 0, 0].tolist() == pytest.approx([0.5] * 3)
    assert drawn[:, 1, 1].tolist() == [1.0] * 3 and drawn[:, 0, 1].tolist() == [0.0] * 3
    assert difference(torch.zeros(3, 2, 2), torch.zeros(3, 4, 4)).shape == (3, 4, 4)
