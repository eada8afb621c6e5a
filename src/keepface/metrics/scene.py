"""The statistics that undistorted photos share: normalised luma, and the asymmetric Gaussians that fit it.

Mittal, Moorthy & Bovik 2012, "No-Reference Image Quality Assessment in the Spatial Domain"  [BRISQUE]
Mittal, Soundararajan & Bovik 2013, "Making a Completely Blind Image Quality Analyzer"  [NIQE]
Lasmar, Stitou & Berthoumieu 2009, "Multiscale Skewed Heavy-Tailed Model for Texture Analysis"  [AGGD]
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.image.size import resize
from keepface.metrics.fidelity import LUMA

WINDOW_PX, WINDOW_SIGMA = 7, 7 / 6  # [BRISQUE, Sec. III-A]
CONTRAST_FLOOR = 1.0  # C of the normalisation, in 8-bit levels
SHAPES = np.arange(0.2, 10.0005, 0.001)  # the shapes that a fit chooses from, as in the authors' code
NEIGHBOURS = ((1, 0), (0, 1), (1, 1), (1, -1))  # down, across, both diagonals


@dataclass(frozen=True)
class Skewed:
    """An asymmetric generalised Gaussian of mode 0: shape (2 is Gaussian) and root mean squares left and right."""

    shape: float
    left: float
    right: float

    @property
    def scales(self) -> tuple[float, float]:
        """Return the scale parameters beta of both sides. [AGGD]"""
        ratio = math.sqrt(math.gamma(1 / self.shape) / math.gamma(3 / self.shape))
        return self.left * ratio, self.right * ratio

    @property
    def mean(self) -> float:
        """Return the distribution's mean. [NIQE, Eq. 8]"""
        left, right = self.scales
        return (right - left) * math.gamma(2 / self.shape) / math.gamma(1 / self.shape)


def _moment_ratio(shape: float) -> float:
    return math.gamma(2 / shape) ** 2 / (math.gamma(1 / shape) * math.gamma(3 / shape))


RATIOS = np.array([_moment_ratio(float(shape)) for shape in SHAPES])  # (E|x|)^2 / E x^2 of each shape; rising


def fit_skewed(values: Float[np.ndarray, "*n"]) -> Skewed | None:
    """Fit by moments; `None` when a side has no values to speak of, as in a picture of one colour. [AGGD]"""
    flat = values.ravel().astype(np.float64)
    below, above = flat[flat < 0], flat[flat >= 0]
    left = math.sqrt(float((below**2).mean())) if below.size else 0.0
    right = math.sqrt(float((above**2).mean())) if above.size else 0.0
    if min(left, right) < 1e-9:
        return None
    skew = left / right
    ratio = float(np.abs(flat).mean() ** 2 / (flat**2).mean())
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return Skewed(float(SHAPES[np.abs(RATIOS - ratio).argmin()]), left, right)


def luma(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "1 h w"]:
    """Return the BT.601 luma, 0..1."""
    return torch.einsum("chw,c->hw", image.cpu().float(), torch.tensor(LUMA))[None]


def halved(grey: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h2 w2"]:
    """Return the picture at half the size, bicubic."""
    return resize(grey, (grey.shape[-2] // 2, grey.shape[-1] // 2), "bicubic")


def normalised(grey: Float[Tensor, "1 h w"]) -> Float[np.ndarray, "h w"]:
    """Subtract the local mean and divide by the local contrast; beyond the border is black. [BRISQUE, Eq. 1]"""
    levels = grey[0].double().numpy() * 255
    window = cv2.getGaussianKernel(WINDOW_PX, WINDOW_SIGMA, cv2.CV_64F)

    def local(x: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        blurred: np.ndarray = cv2.sepFilter2D(x, cv2.CV_64F, window, window, borderType=cv2.BORDER_CONSTANT)
        return blurred

    mean = local(levels)
    contrast = np.sqrt(np.abs(local(levels**2) - mean**2))
    result: np.ndarray = (levels - mean) / (contrast + CONTRAST_FLOOR)
    return result


def products(patch: Float[np.ndarray, "h w"]) -> list[Float[np.ndarray, "h w"]]:
    """Return the product of every value with its neighbour below, beside and on both diagonals, round the edges."""
    return [patch * np.roll(patch, shift, (0, 1)) for shift in NEIGHBOURS]
