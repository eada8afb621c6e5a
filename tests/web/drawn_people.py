"""People who were never born: drawn with OpenCV, and still found and told apart by the real networks."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

Colour = tuple[float, float, float]
Place = tuple[float, float, float]  # x, y, and how far it is turned in degrees
S = 1024  # pixels of the drawing; faces are shrunk from it
Y, X = np.mgrid[:S, :S]


@dataclass(frozen=True)
class Looks:
    """What somebody looks like; `wide` is of the face, 1 is usual."""

    skin: Colour
    hair: Colour
    shirt: Colour
    eyes: Colour
    wide: float
    hairdo: str
    is_bearded: bool = False
    brow: float = 0.0


@dataclass(frozen=True)
class Moment:
    """How somebody looks in one photo: smiling 0..1, looking to the left or right -1..1."""

    smile: float = 0.3
    look: float = 0.0
    backdrop: Colour = (190, 200, 205)


ROSA = Looks((232, 188, 160), (96, 58, 34), (62, 96, 140), (86, 58, 36), 0.95, "long")
OTTO = Looks((216, 170, 140), (196, 192, 188), (120, 70, 60), (70, 90, 110), 1.06, "short", True, 4)
MINA = Looks((176, 124, 92), (34, 26, 24), (150, 90, 130), (40, 28, 22), 0.99, "bun", False, -3)
MOMENTS = (Moment(), Moment(0.9, 0.5, (170, 190, 160)), Moment(0.8, 0.1, (210, 190, 170)))


def darker(colour: Colour, by: float) -> Colour:
    return (colour[0] * by, colour[1] * by, colour[2] * by)


class Sheet:
    """A picture that is drawn on, RGB 0..255."""

    def __init__(self, backdrop: Colour) -> None:
        self.pixels = np.zeros((S, S, 3), np.float32) + np.array(backdrop, np.float32)
        self.pixels *= (1.08 - 0.25 * (Y / S))[..., None].astype(np.float32)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, *arc: float) -> None:
        start, end = arc or (0, 360)
        centre, axes = (round(x), round(y)), (round(rx), round(ry))
        cv2.ellipse(self.pixels, centre, axes, 0, start, end, colour, -1, cv2.LINE_AA)

    def curve(self, at: Place, axes: tuple[float, float], arc: tuple[float, float], colour: Colour, px: int) -> None:
        """Draw an arc around a place."""
        x, y, turn = at
        where, size = (round(x), round(y)), (round(axes[0]), round(axes[1]))
        cv2.ellipse(self.pixels, where, size, turn, *arc, colour, px, cv2.LINE_AA)

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Add a soft patch."""
        patch = np.exp(-(((X - x) / rx) ** 2 + ((Y - y) / ry) ** 2))[..., None]
        self.pixels += (patch * np.array(colour)).astype(np.float32)


def drawn(looks: Looks, moment: Moment = MOMENTS[0], side: int = 512) -> np.ndarray:
    """Draw somebody, RGB uint8."""
    sheet = Sheet(moment.backdrop)
    w, x = looks.wide, 512 + moment.look * 30
    if looks.hairdo == "long":
        sheet.oval(512, 520, 300 * w, 400, looks.hair)
        cv2.rectangle(sheet.pixels, (round(512 - 300 * w), 520), (round(512 + 300 * w), 860), looks.hair, -1)
    if looks.hairdo == "bun":
        sheet.oval(512, 140, 110, 100, looks.hair)
    sheet.oval(512, 1120, 430, 270, looks.shirt)
    sheet.oval(512, 1010, 180, 110, darker(looks.shirt, 0.85))
    cv2.rectangle(sheet.pixels, (425, 700), (599, 930), darker(looks.skin, 0.86), -1)
    sheet.oval(512, 935, 87, 50, darker(looks.skin, 0.86))
    sheet.oval(512, 430, 285 * w, 350, looks.hair)
    for s in (-1, 1):
        sheet.oval(512 + s * 238 * w, 560, 38, 66, darker(looks.skin, 0.92))
    sheet.oval(512, 545, 235 * w, 315, looks.skin)
    for s in (-1, 1):
        sheet.glow(x + s * 135 * w, 640, 70, 55, (14, -10, -10))
    sheet.oval(512, 300, 232 * w, 125, looks.hair, 180, 360)
    if looks.hairdo == "long":
        for s in (-1, 1):
            sheet.curve((512 + s * 205 * w, 430, -14 * s), (70, 230), (0, 360), looks.hair, -1)
    _features(sheet, looks, moment, x)
    grain = np.random.default_rng(0).normal(0, 3, sheet.pixels.shape)
    soft = cv2.GaussianBlur(sheet.pixels, (0, 0), 1.6) + grain
    return cv2.resize(soft.clip(0, 255).astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)


def _features(sheet: Sheet, looks: Looks, moment: Moment, x: float) -> None:
    w, skin = looks.wide, looks.skin
    for s in (-1, 1):
        eye = x + s * 104 * w
        sheet.glow(eye, 500, 78, 46, darker(skin, -0.16))
        sheet.oval(eye, 500, 52, 25, (245, 243, 240))
        sheet.oval(eye + moment.look * 10, 500, 24, 24, looks.eyes)
        sheet.oval(eye + moment.look * 10, 500, 11, 11, (15, 12, 10))
        sheet.oval(eye + moment.look * 10 + 8, 492, 5, 5, (255, 255, 255))
        sheet.curve((eye, 500, 0), (54, 27), (185, 355), (50, 35, 30), 6)
        sheet.curve((eye, 462 - looks.brow, s * 6), (66, 20), (200, 340), darker(looks.hair, 0.8), 13)
        sheet.oval(x + s * 24, 638, 10, 6, darker(skin, 0.55))
    sheet.curve((x, 632, 0), (46, 24), (20, 160), darker(skin, 0.78), 7)
    if looks.is_bearded:
        beard = np.zeros((S, S), np.uint8)
        cv2.ellipse(beard, (512, 660), (round(232 * w), 215), 0, 0, 180, 255, -1)
        cv2.ellipse(beard, (512, 600), (round(165 * w), 120), 0, 0, 180, 0, -1)
        cv2.ellipse(beard, (round(x), 676), (105, 26), 0, 0, 360, 255, -1)
        share = cv2.GaussianBlur(beard, (0, 0), 5)[..., None] / np.float32(255)
        sheet.pixels[:] = sheet.pixels * (1 - share) + np.array(looks.hair, np.float32) * share
    open_px = 18 + 26 * moment.smile
    sheet.oval(x, 730 - open_px // 2, 92, open_px, (168, 82, 84), 0, 180)
    if moment.smile > 0.6:
        sheet.oval(x, 733 - open_px // 2, 74, open_px // 2, (246, 244, 240), 0, 180)
    sheet.curve((x, 730 - open_px // 2, 0), (96, 8), (0, 180), (120, 52, 54), 5)


def photos_of(looks: Looks, folder: Path, name: str, count: int = 3) -> list[Path]:
    """Write photos of somebody."""
    paths = [folder / f"{name}-{number}.jpg" for number in range(1, count + 1)]
    for path, moment in zip(paths, MOMENTS, strict=False):
        _write(path, drawn(looks, moment))
    return paths


def group_photo(people: list[Looks], path: Path, low: float = 0.0) -> Path:
    """Write a photo of people side by side; `low` is how blurred and noisy it is, 0..1."""
    backdrop: Colour = (200, 188, 168)
    row = [drawn(looks, replace(MOMENTS[0], backdrop=backdrop, smile=0.7)) for looks in people]
    picture = np.concatenate(row, 1).astype(np.float32)
    if low:
        height, width = picture.shape[:2]
        faded = picture * 0.86 + np.array([24, 16, 4])
        small = cv2.resize(faded, (width // 3, height // 3), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 0.4 + 1.6 * low)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        picture += np.random.default_rng(1).normal(0, 9 * low, picture.shape)
    _write(path, picture.clip(0, 255).astype(np.uint8))
    return path


def _write(path: Path, picture: np.ndarray, quality: int = 93) -> None:
    assert cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
