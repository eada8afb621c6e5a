"""Make a restored face go with its photo: the photo's tint, no sharpness the photo knows nothing of, and its grain.

    Zhuo and Sim 2011, "Defocus map estimation from a single image"  [Zhuo]

All is measured in the photo's own pixels, and only what is missing is added, so that a square pasted back unchanged
changes nothing.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

BLOCKS = (16, 8)  # px, sides of the blocks in which grain is measured; the smaller one in small pictures
MANY = 100  # ours: blocks, below which a picture is small
QUIET_SHARE = 0.2  # ours: the quietest fifth of the blocks holds grain and hardly anything else
QUIET_BIAS = 1.4  # by how many standard deviations the mean of a Gaussian's lowest fifth lies below its mean
FEWEST = 8  # ours: with less to measure nothing is done
CUT_OFF = (0.08, 0.95)  # ours: darker or lighter blocks have lost their grain
MOST_GRAIN = 0.012  # ours: sigma in shares of white, what fine film has; more is noise, and none of it is added
SCREEN_PEAK, SCREEN_SHARE = 6.0, 0.25  # ours: a frequency so many times as strong as those around it is a screen's
UNSEEN = 0.01  # ours: share of the grain's power that need not be added
REBLUR = (1.0, 2.0)  # sigmas in px of the known blurs that tell how blurred an edge is; [Zhuo] has 0 and 1
PIXEL = 1 / 3  # px^2, the blur of a difference between pixels two apart
EDGE_SHARE = 0.1  # ours: the strongest edges, whose blur is that of the picture
EDGE_FLOOR = 0.02  # ours: a weaker gradient a pixel is no edge
MOST_BLUR = 8.0  # ours: px; more can't be told from a picture without edges
SHARPER = 6.0  # ours: a restored face may be so many times as sharp as its surroundings
NEIGHBOURS = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
TINT_BINS = 16  # of brightness, in which a toned photo's tint is measured
TINT_PX = 512  # long side at which a photo's tint is measured
TINT_SPREAD = 0.015  # ours: a photo whose colours differ less from their brightness' tint is toned, not coloured
BT601 = (0.299, 0.587, 0.114)  # [ITU-R BT.601]


@dataclass(frozen=True, eq=False)
class Grain:
    """What a picture's grain is like: how its channels vary together, and how neighbours do."""

    covariance: Float[np.ndarray, "3 3"]  # of the channels
    spectrum: Float[np.ndarray, "s s"]  # power by frequency, of mean 1

    @property
    def is_screen(self) -> bool:
        """Tell whether single frequencies hold much of it: the dots of print, or a dither's pattern, are not grain."""
        around = np.median([np.roll(self.spectrum, step, (0, 1)) for step in NEIGHBOURS], axis=0)
        peaks = self.spectrum > SCREEN_PEAK * np.maximum(around, 1e-12)
        return float(self.spectrum[peaks].sum()) > SCREEN_SHARE * float(self.spectrum.sum())

    @property
    def sigma(self) -> float:
        """Return the standard deviation of a channel, in shares of white."""
        return float(np.sqrt(max(np.trace(self.covariance) / 3, 0.0)))


def measure_grain(image: Float[Tensor, "3 h w"], where: Float[Tensor, "h w"] | None = None) -> Grain | None:
    """Measure grain on the quietest blocks; `None` where there are too few to tell. An even slope is not grain.

    Args:
        where: 0 leaves a pixel out, and with it its block.
    """
    side = BLOCKS[0] if image[0].numel() >= MANY * BLOCKS[0] ** 2 else BLOCKS[1]
    blocks = _blocks(image.numpy(), side)  # n 3 side side
    usable = (blocks.mean((1, 2, 3)) > CUT_OFF[0]) & (blocks.mean((1, 2, 3)) < CUT_OFF[1])
    if where is not None:
        usable &= _blocks(where[None].numpy(), side).min((1, 2, 3)) > 0
    blocks = blocks[usable]
    count = max(FEWEST, int(QUIET_SHARE * len(blocks)))
    if len(blocks) < count:
        return None
    rest = _without_plane(blocks)
    quietest = rest[np.argsort((rest**2).mean((1, 2, 3)), kind="stable")[:count]]
    samples = quietest.transpose(1, 0, 2, 3).reshape(3, -1)
    pixels = side * side
    covariance = samples @ samples.T / samples.shape[1] * pixels / (pixels - 3)  # the plane took three of them
    independent = np.trace(covariance) ** 2 / max(float((covariance**2).sum()), 1e-20)  # channels: 1 to 3
    if count < len(blocks):
        covariance = covariance / (1 - QUIET_BIAS * np.sqrt(2 / (pixels * independent)))
    spectrum = (np.abs(np.fft.fft2(quietest)) ** 2).mean((0, 1))
    return Grain(covariance, spectrum / max(spectrum.mean(), 1e-20))


def blur_of(image: Float[Tensor, "3 h w"]) -> float | None:
    """Measure how blurred the strongest edges are: the sigma, in px, of the blur an ideal edge would need.

    The gradient at an edge of blur s falls as 1 / sqrt(s^2 + a^2) under a blur of a; two of them give s. [Zhuo, Eq. 4]
    `None` where there is no edge.
    """
    grey = _luma(image).numpy()
    (before, ridges), (after, _) = (_gradient(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in REBLUR)
    steep, steep_after = before[ridges], after[ridges]
    if len(steep) < FEWEST:
        return None
    edges = steep >= np.quantile(steep, 1 - EDGE_SHARE)
    ratio = float(np.median(steep[edges] / np.maximum(steep_after[edges], 1e-6))) ** 2
    power = (REBLUR[1] ** 2 - ratio * REBLUR[0] ** 2) / max(ratio - 1, 1e-6) - PIXEL
    return float(np.sqrt(np.clip(power, 0, MOST_BLUR**2)))


def match_blur(restored: Float[Tensor, "3 h w"], around: Float[Tensor, "3 h2 w2"]) -> Float[Tensor, "3 h w"]:
    """Blur a restored face until it is at most `SHARPER` times as sharp as its surroundings in the photo."""
    own, theirs = blur_of(restored), blur_of(around)
    if own is None or theirs is None:
        return restored
    missing = (theirs / SHARPER) ** 2 - own**2
    if missing <= 0:
        return restored
    blurred = cv2.GaussianBlur(restored.permute(1, 2, 0).numpy(), (0, 0), float(np.sqrt(missing)))
    return torch.from_numpy(blurred).permute(2, 0, 1).contiguous()


def match_tint(restored: Float[Tensor, "3 h w"], photo: Float[Tensor, "3 h2 w2"]) -> Float[Tensor, "3 h w"]:
    """Give a face the tint of a toned photo (sepia, blue, yellowed); a coloured photo's face keeps its colours.

    In a toned photo brightness says the colour: each brightness has one tint, and the face takes it.
    """
    step = max(1, max(photo.shape[1:]) // TINT_PX)
    tint = _tint(photo[:, ::step, ::step])
    if tint is None:
        return restored
    luma = _luma(restored)
    place = (luma * (TINT_BINS - 1)).clamp(0, TINT_BINS - 1)
    low = place.floor().long().clamp(max=TINT_BINS - 2)
    share = place - low
    offset = tint[:, low] * (1 - share) + tint[:, low + 1] * share
    return (luma + offset).clamp(0, 1)


def add_grain(
    blended: Float[Tensor, "3 h w"],
    mask: Float[Tensor, "h w"],
    drawn: Float[Tensor, "3 h w"],
    photo: Float[Tensor, "3 h w"],
    around: Float[Tensor, "3 h2 w2"],
    generator: torch.Generator,
) -> Float[Tensor, "3 h w"]:
    """Add the grain that the photo has where a face was blended into it; where the mask is 0 every bit stays.

    Damage is not grain: beyond `MOST_GRAIN` nothing is added, and nothing of the dots of print.

    The photo's grain is measured under the face and around it: the lesser is grain, the other holds texture too. How
    much of it the face has is told by the quietest places of both.

    Of independent grains a blend keeps (1-m)^2 of the photo's power and m^2 of the face's, and 2m(1-m) of what they
    share; the rest, up to the photo's own power, is added.
    """
    measured = [grain for grain in (measure_grain(photo, mask), measure_grain(around)) if grain is not None]
    theirs, quiet = min(measured, key=lambda grain: grain.sigma, default=None), _quiet(photo, mask)
    if theirs is None or theirs.sigma <= 0 or quiet <= 0 or theirs.is_screen:
        return blended
    power = theirs.sigma**2
    wanted = min(power, MOST_GRAIN**2)
    face = power * min(1.0, _quiet(drawn, mask) / quiet)
    shared = _shared(drawn, photo, mask) * float(np.sqrt(power * face))
    there = (1 - mask) ** 2 * power + mask**2 * face + 2 * mask * (1 - mask) * shared
    missing = (((1 - UNSEEN) * wanted - there) / power).clamp(0, 1).sqrt() * (mask > 0)
    if not bool(missing.any()):
        return blended
    grain = draw_grain(theirs, (mask.shape[0], mask.shape[1]), generator, is_grey(blended))
    return torch.where(mask > 0, (blended + missing * grain).clamp(0, 1), blended)


def draw_grain(
    grain: Grain, shape: tuple[int, int], generator: torch.Generator, grey: bool = False
) -> Float[Tensor, "3 h w"]:
    """Draw grain of such a covariance and spectrum; `grey` draws one field for all channels."""
    height, width = shape
    kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(grain.spectrum)).real)
    kernel = np.pad(kernel, ((0, 1), (0, 1)))  # odd; its middle is the old one's
    kernel[-1], kernel[:, -1] = kernel[0], kernel[:, 0]
    kernel[[0, -1]] /= 2
    kernel[:, [0, -1]] /= 2
    kernel /= np.sqrt((kernel**2).sum())
    rim = len(grain.spectrum) // 2
    white = torch.randn(3, height + 2 * rim, width + 2 * rim, generator=generator, dtype=torch.float64).numpy()
    inside = (slice(rim, rim + height), slice(rim, rim + width))
    field = torch.from_numpy(np.stack([cv2.filter2D(channel, -1, kernel)[inside] for channel in white]))
    if grey:
        return (field[:1] * grain.sigma).expand(3, -1, -1).to(torch.float32)
    values, vectors = np.linalg.eigh(grain.covariance)
    root = torch.from_numpy((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
    return torch.einsum("ij,jhw->ihw", root, field).to(torch.float32)


def is_grey(image: Float[Tensor, "3 h w"]) -> bool:
    """Tell whether the three channels are the same, bit for bit."""
    return torch.equal(image[0], image[1]) and torch.equal(image[1], image[2])


def _quiet(picture: Tensor, mask: Tensor) -> float:
    """Return the power of what is not even in the quietest small blocks under the mask; 0 where there are none."""
    blocks = _blocks(picture.numpy(), BLOCKS[1])
    inside = _blocks(mask[None].numpy(), BLOCKS[1]).min((1, 2, 3)) > 0
    if not inside.any():
        return 0.0
    return float(np.quantile((_without_plane(blocks[inside]) ** 2).mean((1, 2, 3)), QUIET_SHARE))


def _shared(drawn: Tensor, photo: Tensor, mask: Tensor) -> float:
    """Return the correlation of two pictures' finest detail where the mask counts: 1 for the same picture."""
    fine = []
    for picture in (drawn, photo):
        grey = _luma(picture).numpy()
        fine.append((grey - cv2.GaussianBlur(grey, (0, 0), 1.0))[mask.numpy() > 0])
    norm = float(np.sqrt((fine[0] ** 2).sum() * (fine[1] ** 2).sum()))
    return float(np.clip((fine[0] * fine[1]).sum() / norm, 0, 1)) if norm > 1e-12 else 0.0


def _tint(image: Tensor) -> Float[Tensor, "3 n"] | None:
    """Return what each channel has more than the luma, by brightness; `None` for a grey or a coloured picture."""
    if is_grey(image):
        return None
    luma = _luma(image)
    colour = (image - luma).reshape(3, -1)
    place = (luma * (TINT_BINS - 1)).round().long().clamp(0, TINT_BINS - 1).flatten()
    count = torch.bincount(place, minlength=TINT_BINS).clamp_min(1)
    sums = torch.stack([torch.bincount(place, weights=channel.double(), minlength=TINT_BINS) for channel in colour])
    tint = (sums / count).float()
    filled = torch.bincount(place, minlength=TINT_BINS) > 0
    spread = float((colour - tint[:, place]).square().mean().sqrt())
    if spread > TINT_SPREAD or int(filled.sum()) < 2:
        return None
    known = torch.arange(TINT_BINS)[filled].numpy()
    filled_in = [np.interp(np.arange(TINT_BINS), known, channel[filled].numpy()) for channel in tint]
    return torch.from_numpy(np.stack(filled_in)).float()


def _luma(image: Tensor) -> Float[Tensor, "h w"]:
    weights = torch.tensor(BT601, dtype=image.dtype).view(3, 1, 1)
    return (image * weights).sum(0)


def _gradient(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient's length a pixel, and where it is an edge's: steepest across, and steep enough."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    length = np.hypot(across, down)
    beside = [np.maximum(np.roll(length, 1, axis), np.roll(length, -1, axis)) for axis in (1, 0)]
    ridges = (length >= np.where(np.abs(across) >= np.abs(down), beside[0], beside[1])) & (length >= EDGE_FLOOR)
    ridges[[0, -1]] = ridges[:, [0, -1]] = False
    return length, ridges


def _blocks(picture: np.ndarray, side: int) -> Float[np.ndarray, "n c s s"]:
    channels, height, width = (picture.shape[0], *(length // side * side for length in picture.shape[1:]))
    cut = picture[:, :height, :width].astype(np.float64)
    split = cut.reshape(channels, height // side, side, width // side, side)
    return split.transpose(1, 3, 0, 2, 4).reshape(-1, channels, side, side)


def _without_plane(blocks: np.ndarray) -> np.ndarray:
    """Take the best-fitting plane off each block: light falls off slowly, grain does not."""
    side = blocks.shape[-1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    rest = blocks - blocks.mean((2, 3), keepdims=True)
    for slope in (y, x):
        rest = rest - (rest * slope).sum((2, 3), keepdims=True) / (slope**2).sum() * slope
    return rest
