"""How much detail a face in a photo really holds, whatever the number of its pixels: noise and blocks are not detail.

A sharp photo's power falls with frequency along a line (in logarithms) that photos of faces share. Where a photo was
enlarged or is blurred its power leaves that line, and where it is noisy the line sinks into the noise. The highest
frequency that is still on the line and above the noise, k cycles a side, is what 2 k pixels a side can hold.

    Field 1987, "Relations between the statistics of natural images and the response properties of cortical cells"
    (power falls as a power of frequency)  [Field]
    Immerkaer 1996, "Fast noise variance estimation" (noise is what is everywhere)  [Immerkaer]

All is measured on the photo's own pixels; a turned face is not drawn upright, which would blur it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from keepface.faces.align import ffhq_template, invert, scale_of, similarity, transform

Ellipse = tuple[float, float, float, float]  # middle, x and y, and half axes, in sides of the FFHQ square
FACE: Ellipse = (0.5, 0.58, 0.30, 0.36)  # ours: what is looked at, from brows to chin
PARTS: dict[str, tuple[Ellipse, ...]] = {  # ours: what a face is known by
    "eyes": ((0.377, 0.469, 0.1, 0.07), (0.623, 0.469, 0.1, 0.07)),
    "mouth": ((0.502, 0.725, 0.17, 0.09),),
}
PART_BAND = (6.0, 24.0)  # ours: cycles a side, which draw eyes and mouth
BANDS_PER_OCTAVE = 3
COARSEST = 3.0  # cycles a side: the eyes lie half a cycle apart
REFERENCE = (3.0, 8.0)  # ours: cycles a side; every face that is found holds these
SLOPE = 3.3  # by what power of frequency the power of a sharp face falls; see `scripts/measure_detail.py`
SHARE = 0.25  # ours: of the power a sharp face would have, or this one has an octave before; below it nothing is held
# Ours: times that power; up to so much even calm places of a sharp face have, more of them in a small one (side in px).
ROUGH, ROUGH_SMALL, SMALL_PX = 0.42, 1.4, 80.0
LAST = 0.44  # of the sampling frequency: finer bands reach into its corners
QUIET = 0.15  # ours: the quietest share of the places, which hold noise and little else
QUIET_Z = -1.036  # its quantile of the normal distribution
PLACE = 3.0  # wavelengths a side over which power is averaged
FEWEST = 60  # ours: places of a band; with fewer its noise is taken for white, as in the next finer one
FEWEST_FINEST = 6  # ours: the same of the finest band, which has no finer one beside it
SIGNAL = 2.0  # ours: times the noise's power, below which nothing can be told from it
MOST_PX = 1024  # side of the face's square in which it is measured; a larger photo is shrunk to it first


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The power of a face by frequency, and what of it is noise.

    `power` and `noise` are per frequency, so that white noise of standard deviation s has the power s^2 everywhere.
    """

    side: float  # of the face's FFHQ square, in pixels of the photo
    cycles: Float[np.ndarray, "k"]  # a side, middle of each band
    power: Float[np.ndarray, "k"]
    noise: Float[np.ndarray, "k"]
    shares: Float[np.ndarray, "k"]  # of all frequencies, that a band lets through
    parts: dict[str, Float[np.ndarray, "k"]]  # power in each of `PARTS`
    shrunk: int = 1  # by how much the photo was shrunk first

    @property
    def signal(self) -> Float[np.ndarray, "k"]:
        """Return the power that is not noise."""
        return np.maximum(self.power - self.noise, 0)

    def contrast(self, part: str) -> float:
        """Return the contrast of eyes or mouth, noise taken off: a standard deviation in shares of white."""
        drawn = (self.cycles >= PART_BAND[0]) & (self.cycles <= PART_BAND[1])
        power = (self.parts[part] - self.noise) * self.shares
        return float(np.sqrt(max(power[drawn].sum(), 0.0)))


@dataclass(frozen=True)
class Detail:
    """What a face holds: as much as `held_px` pixels a side can, of the `side_px` that its square has; and its noise.

    Sides are those of the FFHQ square. `filled_px` is how many are filled with anything, detail or noise. `noise` is a
    standard deviation in shares of white, 0 where even calm places of a sharp face are as rough.
    """

    side_px: float
    held_px: float
    filled_px: float
    noise: float


def measure_detail(image: Float[Tensor, "3 h w"], points: Float[np.ndarray, "5 2"]) -> Detail:
    """Measure how much detail a face holds.

    Raises:
        FaceError: the points are no face's.
    """
    return detail_of(face_spectrum(image, points))


def detail_of(spectrum: Spectrum) -> Detail:
    """Return what a face of such a spectrum holds: up to where it first leaves a sharp face's line, or meets noise."""
    sampled = spectrum.side / spectrum.shrunk

    def pixels(cycles: float) -> float:
        return sampled if cycles >= spectrum.cycles[-1] else 2 * min(cycles, LAST * sampled)

    filled = held_cycles(replace(spectrum, noise=np.zeros_like(spectrum.noise)))
    usual = (ROUGH_SMALL if sampled < SMALL_PX else ROUGH) * _line(spectrum)
    rough = np.where(spectrum.noise > usual, spectrum.noise, 0)
    noise = float(np.sqrt(rough[np.searchsorted(spectrum.cycles, spectrum.cycles[-1] / 2) :].max()))
    return Detail(spectrum.side, pixels(held_cycles(spectrum)), pixels(filled), noise)


def held_cycles(spectrum: Spectrum) -> float:
    """Return the frequency, in cycles a side, up to which a face holds detail."""
    share = sharpness(spectrum)
    before = np.maximum(share[np.maximum(np.arange(len(share)) - BANDS_PER_OCTAVE, 0)], 1.0)
    ratio = np.minimum(share / (SHARE * before), spectrum.power / np.maximum(SIGNAL * spectrum.noise, 1e-20))
    logs = np.log(np.maximum(ratio, 1e-9))
    below = np.flatnonzero((logs < 0) & (spectrum.cycles > REFERENCE[1]))
    if not len(below):
        return float(spectrum.cycles[-1])
    first = int(below[0])
    before, after = max(logs[first - 1], 0.0), logs[first]  # in between as straight a line as any
    part = before / (before - after)
    return float(np.exp(np.interp(part, (0, 1), np.log(spectrum.cycles[first - 1 : first + 1]))))


def sharpness(spectrum: Spectrum) -> Float[np.ndarray, "k"]:
    """Return the power beyond noise in each band, as a share of what a sharp face of this contrast would have."""
    return spectrum.signal / _line(spectrum)


def _line(spectrum: Spectrum) -> Float[np.ndarray, "k"]:
    """Return the power that a sharp face of this contrast would have."""
    line = spectrum.cycles**-SLOPE
    known = (spectrum.cycles >= REFERENCE[0]) & (spectrum.cycles <= REFERENCE[1])
    height = np.exp(np.mean(np.log(np.maximum(spectrum.signal[known], 1e-12) / line[known])))
    share: np.ndarray = height * line
    return share


def face_spectrum(image: Float[Tensor, "3 h w"], points: Float[np.ndarray, "5 2"]) -> Spectrum:
    """Measure the spectrum of a face's brightness, in the ellipse from brows to chin."""
    matrix = similarity(points, ffhq_template(1))
    side = 1 / scale_of(matrix)
    grey, there = _region(image, matrix, side)
    shrunk = max(1, int(np.ceil(side / MOST_PX)))
    if shrunk > 1:
        size = (grey.shape[1] // shrunk, grey.shape[0] // shrunk)
        grey, there = (cv2.resize(item, size, interpolation=cv2.INTER_AREA) for item in (grey, there))
    sampled = side / shrunk
    inside = _within(there, FACE).astype(np.float32)
    parts = {name: np.any([_within(there, one) for one in places], axis=0) for name, places in PARTS.items()}
    count = 1 + int(np.floor(BANDS_PER_OCTAVE * np.log2(max(LAST * sampled, 2 * REFERENCE[1]) / COARSEST)))
    cycles = COARSEST * 2 ** (np.arange(count) / BANDS_PER_OCTAVE)
    power, noise, shares = (np.zeros(count) for _ in range(3))
    of_parts = {name: np.zeros(count) for name in parts}
    for band, frequency in enumerate(cycles / sampled):
        filtered, shares[band] = _filtered(grey, frequency)
        squared = (filtered**2 / max(shares[band], 1e-12)).astype(np.float32)
        power[band] = squared[inside > 0].mean() if inside.any() else 0.0
        freedom = shares[band] * round(PLACE / frequency) ** 2
        noise[band] = _quiet(squared, inside, frequency, freedom, FEWEST_FINEST if band == count - 1 else FEWEST)
        for name, where in parts.items():
            of_parts[name][band] = squared[where].mean() if where.any() else 0.0
    for band in range(count - 2, -1, -1):
        if np.isnan(noise[band]):
            noise[band] = noise[band + 1]
    return Spectrum(side, cycles, power, np.fmin(np.nan_to_num(noise), power), shares, of_parts, shrunk)


def _region(
    image: Float[Tensor, "3 h w"], matrix: Float[np.ndarray, "2 3"], side: float
) -> tuple[Float[np.ndarray, "h2 w2"], Float[np.ndarray, "h2 w2 2"]]:
    """Cut the face's rectangle out of the photo, in grey, and say where in the face's square its pixels are."""
    height, width = image.shape[1:]
    x, y, across, down = FACE
    edge = np.array([[x - across, y - down], [x + across, y - down], [x - across, y + down], [x + across, y + down]])
    reach, rim = transform(edge, invert(matrix)), 0.1 * side
    left, top = (int(max(0, np.floor(low - rim))) for low in reach.min(0))
    far = zip((width, height), reach.max(0), strict=True)
    right, bottom = (int(min(most, np.ceil(high + rim) + 1)) for most, high in far)
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    grey = image[:, top:bottom, left:right].mean(0).detach().cpu().float().numpy()
    ys, xs = np.mgrid[top:bottom, left:right]
    there = transform(np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float64), matrix)
    return np.ascontiguousarray(grey), there.reshape(*grey.shape, 2)


def _within(there: Float[np.ndarray, "h w 2"], ellipse: Ellipse) -> Bool[np.ndarray, "h w"]:
    x, y, across, down = ellipse
    inside: np.ndarray = ((there[..., 0] - x) / across) ** 2 + ((there[..., 1] - y) / down) ** 2 <= 1
    return inside


def _quiet(squared: np.ndarray, inside: np.ndarray, frequency: float, freedom: float, fewest: int) -> float:
    """Return the power of a band in the quietest places, which is the noise's; NaN where a face has too few places.

    `freedom` is how many independent values a place holds. The mean of so many squares of normal values has a known
    quantile. [Wilson and Hilferty 1931]
    """
    side = max(3, round(PLACE / frequency))
    if inside.sum() / side**2 < fewest:
        return float("nan")
    near = cv2.blur(inside, (side, side))
    local = cv2.blur(squared * inside, (side, side)) / np.maximum(near, 1e-6)
    spread = 2 / (9 * max(freedom, 1.0))
    bias = max((1 - spread + QUIET_Z * np.sqrt(spread)) ** 3, 0.1)
    return float(np.quantile(local[(inside > 0) & (near > 0.5)], QUIET)) / bias


def _filtered(grey: np.ndarray, frequency: float) -> tuple[np.ndarray, float]:
    """Filter a picture by a band, mirrored at its edges; with the share of all frequencies that the band lets through.

    The bands' powers add up to the picture's: each is the square of a cosine over the logarithm of frequency.
    """
    rim = min(round(1.5 / frequency), min(grey.shape) - 1)
    padded = cv2.copyMakeBorder(grey - grey.mean(), rim, rim, rim, rim, cv2.BORDER_REFLECT_101)
    height, width = (cv2.getOptimalDFTSize(length) for length in padded.shape)
    across, down = np.fft.rfftfreq(width), np.fft.fftfreq(height)
    radius = np.hypot(down[:, None], across[None])
    octaves = np.log2(np.maximum(radius, 1e-9) / frequency) * BANDS_PER_OCTAVE
    passed = np.where(np.abs(octaves) < 1, np.cos(octaves * np.pi / 2), 0)
    spectrum = np.fft.rfft2(padded, (height, width)) * passed
    back = np.fft.irfft2(spectrum, (height, width))[rim : rim + grey.shape[0], rim : rim + grey.shape[1]]
    return back, _share(passed, width)


def _share(passed: np.ndarray, width: int) -> float:
    """Return the share of all frequencies, of which half are stored, that a filter lets through."""
    doubled = np.full(passed.shape[1], 2.0)
    doubled[0] = 1.0
    if width % 2 == 0:
        doubled[-1] = 1.0
    return float((passed**2 * doubled).sum() / (passed.shape[0] * width))
