"""Take the pictures of docs/web.md again: `python -m tests.web.take_screenshots docs/web`, from the repository's root.

The people in them are drawn, and so is what is done to them: a filter that sharpens stands in the model's place.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from playwright import sync_api
from torch import Tensor

from keepface.identity.embed import IdentityEmbedder, IdentityFeatures
from keepface.identity.recogniser import JUDGE, RECOGNISERS

from ..browser import PHONE, chromium
from .drawn_people import MINA, OTTO, ROSA, group_photo, photos_of
from .page_visit import DESK, House, SteppingRestorer, Visit

PEOPLE = (
    ("Rosa", ROSA, "aunt", "1948", "asked her, 3 May"),
    ("Mina", MINA, "neighbour", "1951", "her daughter agreed, 9 May"),
    ("Otto", OTTO, "grandfather", "1931", "his family"),
)


class SharpeningRestorer(SteppingRestorer):
    """Sharpens, and differs a little from seed to seed."""

    size = 256
    strength = 0.25

    def drawn(self, low: Tensor, plain: Tensor, references: Sequence[Sequence[IdentityFeatures]]) -> Tensor:
        blurred = torch.nn.functional.avg_pool2d(low, 9, 1, 4, count_include_pad=False)
        calm = torch.nn.functional.avg_pool2d(low, 3, 1, 1, count_include_pad=False)
        led = torch.tensor([0.015 if items else 0.0 for items in references]).view(-1, 1, 1, 1)
        return calm + 1.3 * (calm - blurred) + led


def take(browser: Any, address: str, photos: Path, out: Path) -> None:
    """Walk through the page and take pictures on the way."""
    visit = Visit(browser, address, DESK)
    page = visit.page
    for name, looks, relation, born, consent in PEOPLE:
        page.get_by_label("Who they are to you").fill(relation)
        page.get_by_label("Born in").fill(born)
        page.get_by_label("Consent").fill(consent)
        visit.add(name, photos_of(looks, photos, name.lower(), 2 if name == "Otto" else 3))
        page.get_by_role("button", name="Add somebody new").click()
        page.get_by_role("heading", name="Add somebody").wait_for()
    page.get_by_role("button", name="Open Rosa").click()
    visit.said("kf-doctor", "What would help next")
    page.wait_for_timeout(500)
    page.screenshot(path=out / "people.png", full_page=True)
    visit.tab("Restore")
    visit.drop("kf-photos", [group_photo([ROSA, MINA], photos / "summer-1969.jpg", low=0.5)])
    page.get_by_role("button", name="More").locator("visible=true").click()
    page.locator("#kf-method-restore input").click()
    page.get_by_role("option", name="FaceMe").click()
    page.locator("#kf-versions-restore input[type=number]").fill("3")
    page.keyboard.press("Tab")
    page.get_by_label("Find out what is real").check()
    page.get_by_label("Keep a new face").locator("visible=true").check()
    page.get_by_role("button", name="More").locator("visible=true").click()
    page.get_by_role("button", name="Restore", exact=True).click()
    visit.said("kf-faces", "Mina")
    page.locator(".kf-versions").first.wait_for()
    page.get_by_text("Numbers", exact=True).first.click()
    page.wait_for_timeout(1200)
    page.screenshot(path=out / "restore.png", full_page=True)
    page.get_by_label("Colour what the other photos brought").check()
    page.wait_for_timeout(1500)
    page.locator("#kf-slider").screenshot(path=out / "evidence.png")
    visit.tab("Album")
    album = [group_photo([MINA], photos / "at-the-lake.jpg", 0.4), group_photo([ROSA, MINA], photos / "party.jpg", 0.4)]
    (photos / "torn.jpg").write_bytes(album[0].read_bytes()[:3000])
    visit.drop("kf-album-photos", [*album, photos / "torn.jpg"])
    page.get_by_role("button", name="Restore the album").click()
    visit.said("kf-album-told", "3 photos done")
    page.wait_for_timeout(500)
    page.screenshot(path=out / "album.png", full_page=True)
    visit.close()
    for name, kind in (("dark", {**DESK, "color_scheme": "dark"}), ("phone", PHONE)):
        visit = Visit(browser, address, kind)
        visit.page.get_by_role("button", name="Open Rosa").click()
        visit.said("kf-doctor", "What would help next")
        visit.page.wait_for_timeout(500)
        visit.page.screenshot(path=out / f"{name}.png")
        visit.close()


def main() -> None:
    """Serve the page in a folder that is thrown away, and visit it."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    restorer = SharpeningRestorer(IdentityEmbedder.load(), RECOGNISERS[JUDGE](), size=256)
    with tempfile.TemporaryDirectory() as folder, chromium(sync_api) as browser:
        photos = Path(folder) / "photos"
        photos.mkdir()
        with House(Path(folder), restorer).open() as address:
            take(browser, address, photos, out)
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
