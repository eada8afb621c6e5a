"""Folders of drawn results with telling names, and the study made of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from keepface.bench.study.build import Built, build
from keepface.bench.study.settings import StudySettings

METHODS = ("Alphanet", "Betafix", "Gammalift")
PHOTOS = ("anna-smith", "bob-jones", "carl-miller", "dora-baker")
ENDINGS = {"Alphanet": "png", "Betafix": "jpg", "Gammalift": "webp"}
SIDES = {"Alphanet": 96, "Betafix": 64, "Gammalift": 48}


def gradient(number: int, side: int) -> Image.Image:
    """A picture that is smooth, coloured, and different for each number."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [0.5 + 0.5 * np.sin((number % 7 + 2 + c) * x + (number % 5 + 3) * y + number + c) for c in range(3)]
    return Image.fromarray(np.uint8(255 * np.stack(waves, axis=-1)))


def draw_folders(root: Path) -> Path:
    """Write results/NAME, references, inputs and truths; the files carry the method's name in their metadata."""
    for place, method in enumerate(METHODS):
        (root / method).mkdir(parents=True)
        for number, photo in enumerate(PHOTOS):
            image = gradient(10 * number + place, SIDES[method])
            text = PngImagePlugin.PngInfo()
            text.add_text("Software", method)
            exif = Image.Exif()
            exif[305] = method
            path = root / method / f"{photo}.{ENDINGS[method]}"
            image.save(path, exif=exif, **({"pnginfo": text} if path.suffix == ".png" else {}))
    for kind in ("references", "inputs", "truths"):
        (root / kind).mkdir()
    for number, photo in enumerate((*PHOTOS, "eve-control")):
        gradient(10 * number + 5, 32).save(root / "inputs" / f"{photo}.png")
        gradient(10 * number, 80).save(root / "truths" / f"{photo}.png")
        (root / "references" / photo).mkdir()
        for other in range(2):
            gradient(10 * number + 7 + other, 72).save(root / "references" / photo / f"{other}.jpg")
    return root


def settings_of(root: Path, **changed: object) -> StudySettings:
    given: dict[str, object] = {
        "methods": {name: root / name for name in METHODS},
        "references": root / "references",
        "inputs": root / "inputs",
        "truths": root / "truths",
        "controls": 2,
        "side": 64,
        "seed": 7,
    }
    return StudySettings(**(given | changed))  # type: ignore[arg-type]


def drawn_study(root: Path, **changed: object) -> tuple[Path, Built]:
    """Draw the folders and build a study of them in root/study."""
    draw_folders(root)
    return root / "study", build(root / "study", settings_of(root, **changed))


def key_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "study.json").read_text())
    return found
