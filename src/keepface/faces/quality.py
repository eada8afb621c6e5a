"""What a face looks like in a picture, in numbers that can be compared before and after: detail, features, tones.

Both pictures are measured alike, on the pixels that are written. Noise is taken off: a result is not asked to hold
what was noise in the photo.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import align_ffhq, ffhq_template, scale_of, similarity, template_face
from keepface.faces.detail import FACE, Spectrum, detail_of, face_spectrum, held_cycles
from keepface.faces.face import Face
from keepface.faces.harmonise import BT601

FOUND_PX = 192  # side of the square in which the face is looked for again; a smaller photo is not enlarged beyond it
OFF_TEMPLATE = 0.15  # mean distance of a found face's points from the template's, in sides; beyond it it is another


@runtime_checkable
class Finder(Protocol):
    """Whoever finds faces."""

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        """Find the faces of a picture, the largest first."""
        ...


@dataclass(frozen=True, eq=False)
class Appearance:
    """What was measured of a face in one picture."""

    spectrum: Spectrum
    score: float  # how sure the detector is of it, 0..1; 0: it is not found any more
    points: Float[np.ndarray, "5 2"]  # where it finds eyes, nose and mouth, in sides of the face's square
    luma: float  # mean brightness of the face, 0..1
    colour: tuple[float, float]  # mean of red and of blue, less the brightness


@dataclass(frozen=True)
class Quality:
    """What a face was and became, measured on the finished picture; sides in px are those of the FFHQ square."""

    held_px_before: float  # how many pixels a side its detail fills
    held_px_after: float
    noise_before: float  # standard deviation, in shares of white
    noise_after: float
    fine_detail: float  # power of the finest octave that the photo holds, after to before, noise taken off
    eyes: float  # contrast, after to before
    mouth: float
    score_before: float  # how sure the detector is that this is a face, 0..1
    score_after: float
    moved: float  # mean way of eyes, nose and mouth corners, in distances between the eyes
    lighter: float  # mean brightness, after less before, in shares of white
    tinted: float  # mean colour, the same

    def to_json(self) -> dict[str, float]:
        """Return it as plain data."""
        return {name: round(float(value), 4) for name, value in vars(self).items()}


def appearance(image: Float[Tensor, "3 h w"], face: Face, finder: Finder) -> Appearance:
    """Measure a face whose place is known."""
    scale = scale_of(similarity(face.points, ffhq_template(1)))
    size = int(min(max(1 / scale, 64), FOUND_PX))
    square = align_ffhq(image, face.points, size).crop
    template = template_face(size)

    def off(found: Face) -> float:
        return float(np.linalg.norm(found.points - template.points, axis=1).mean()) / size

    found = min(finder.detect(square), key=off, default=None)
    is_found = found is not None and off(found) <= OFF_TEMPLATE
    score, points = (found.score, found.points) if found is not None and is_found else (0.0, template.points)
    luma, red, blue = _tones(square)
    return Appearance(face_spectrum(image, face.points), score, (points + 0.5) / size, luma, (red, blue))


def compare(before: Appearance, after: Appearance) -> Quality:
    """Compare a face before and after."""
    own, new = (detail_of(item.spectrum) for item in (before, after))
    eyes = np.linalg.norm(before.points[1] - before.points[0])
    moved = float(np.linalg.norm(after.points - before.points, axis=1).mean() / max(eyes, 1e-6))
    tinted = np.hypot(*np.subtract(after.colour, before.colour))
    return Quality(
        own.held_px,
        new.held_px,
        own.noise,
        new.noise,
        fine_detail(before.spectrum, after.spectrum),
        _ratio(after.spectrum.contrast("eyes"), before.spectrum.contrast("eyes")),
        _ratio(after.spectrum.contrast("mouth"), before.spectrum.contrast("mouth")),
        before.score,
        after.score,
        moved if before.score and after.score else 0.0,
        after.luma - before.luma,
        float(tinted),
    )


def fine_detail(before: Spectrum, after: Spectrum) -> float:
    """Return the power that is not noise in the finest octave that `before` holds, as `after` has it, over its own."""
    last = held_cycles(before)
    finest = (before.cycles > last / 2) & (before.cycles <= last)
    if not finest.any():
        finest[-1] = True
    weights = before.cycles[finest] ** 2  # of each band: as many frequencies as it has
    own = float((before.signal[finest] * weights).sum())
    there = np.interp(before.cycles[finest], after.cycles, after.signal)
    return _ratio(float((there * weights).sum()), own)


def _tones(square: Float[Tensor, "3 s s"]) -> tuple[float, float, float]:
    """Return the mean brightness inside the face, and of red and blue what they have more."""
    side = square.shape[-1]
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    inside = ((x - FACE[0]) / FACE[2]) ** 2 + ((y - FACE[1]) / FACE[3]) ** 2 <= 1
    red, green, blue = (float(channel[inside].mean()) for channel in square.numpy())
    luma = float(np.dot(BT601, (red, green, blue)))
    return luma, red - luma, blue - luma


def _ratio(after: float, before: float) -> float:
    """Return a ratio, at most 100; of nothing there can only be more."""
    return min(after / before, 100.0) if before > 1e-12 else 100.0
