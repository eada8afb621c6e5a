"""Does a picture have the statistics of an undistorted photo; no truth is needed.

    Mittal, Moorthy & Bovik 2012, "No-Reference Image Quality Assessment in the Spatial Domain"  [BRISQUE]
    Mittal, Soundararajan & Bovik 2013, "Making a Completely Blind Image Quality Analyzer"  [NIQE]

The parameters come from the packages named on their cards; the features are written here to match them.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from keepface.errors import MissingExtraError, WeightsError
from keepface.metrics.scene import Skewed, fit_skewed, halved, luma, normalised, products
from keepface.weights.store import find

PATCH_PX = 96  # the side of NIQE's patches in a picture of 512 px or more
PATCH_SHARE = 3 / 16  # ours: of the side of a smaller picture, so that it has as many patches as one of 512 px
FEATURES = 36

# The least and greatest value that each feature had in BRISQUE's training, from the authors' `allrange` file.
BRISQUE_LEAST = (
    (0.336999, 0.019667, 0.23, -0.125959, 0.000167, 0.000616, 0.231, -0.125873, 0.000165)
    + (0.0006, 0.241, -0.128814, 0.000179, 0.000386, 0.243, -0.13308, 0.000182, 0.000421)
    + (0.436998, 0.016929, 0.247, -0.200231, 0.000104, 0.000834, 0.257, -0.200017, 0.000112)
    + (0.000876, 0.257, -0.155072, 0.000112, 0.000356, 0.258, -0.154374, 0.000117, 0.000351)
)
BRISQUE_GREATEST = (
    (9.999411, 0.807472, 1.644021, 0.202917, 0.712384, 0.468672, 1.644021, 0.169548, 0.713132)
    + (0.467896, 1.553016, 0.101368, 0.687324, 0.533087, 1.554016, 0.101, 0.689177, 0.533133)
    + (3.639918, 0.800955, 1.096995, 0.175286, 0.755547, 0.39927, 1.095995, 0.155928, 0.751488)
    + (0.402398, 1.041992, 0.093209, 0.623516, 0.532925, 1.042992, 0.093714, 0.621958, 0.534484)
)


class Niqe:
    """The distance of a picture's patches from those of undistorted photos; 0 is natural, without upper end."""

    def __init__(self, mean: Float[np.ndarray, "36"], covariance: Float[np.ndarray, "36 36"]) -> None:
        self.mean, self.covariance = mean, covariance

    @classmethod
    def load(cls) -> "Niqe":
        """Load the model of undistorted photos from its carrier package.

        Raises:
            MissingExtraError: scipy, which reads the file, is not installed.
            WeightsError: the file is not there or is another one.
        """
        path = find("niqe")
        try:
            from scipy.io import loadmat
        except ImportError:
            raise MissingExtraError("NIQE's parameters are read by scipy: pip install 'keepface[bench]'") from None
        tables = loadmat(path, variable_names=["pop_mu", "pop_cov"])
        return cls(np.ravel(tables["pop_mu"]).astype(np.float64), tables["pop_cov"].astype(np.float64))

    def __call__(self, image: Float[Tensor, "3 h w"]) -> float:
        """Return NIQE of a picture (RGB, 0..1); nan when fewer than two of its patches hold any detail."""
        features = niqe_features(image)
        if len(features) < 2:
            return math.nan
        return distance(self.mean, self.covariance, features.mean(0), np.cov(features.T))


def distance(
    mean_a: Float[np.ndarray, "d"],
    covariance_a: Float[np.ndarray, "d d"],
    mean_b: Float[np.ndarray, "d"],
    covariance_b: Float[np.ndarray, "d d"],
) -> float:
    """Return the distance of two Gaussians' means, in units of their pooled spread. [NIQE, Eq. 10]"""
    apart = mean_a - mean_b
    pooled = np.linalg.pinv((covariance_a + covariance_b) / 2, hermitian=True)
    return math.sqrt(max(0.0, float(apart @ pooled @ apart)))


def niqe_features(image: Float[Tensor, "3 h w"]) -> Float[np.ndarray, "n 36"]:
    """Return the features of the patches that hold detail, 18 at each of two scales. [NIQE, Sec. II]

    All patches count: the authors leave out the least sharp ones only where the model of natural photos is made.
    """
    side = patch_side(min(image.shape[-2:]))
    height, width = (length // side * side for length in image.shape[-2:])
    grey = luma(image[..., :height, :width])
    scales = ((normalised(grey), side), (normalised(halved(grey)), side // 2))
    rows = []
    for y in range(height // side):
        for x in range(width // side):
            parts = [field[y * px : (y + 1) * px, x * px : (x + 1) * px] for field, px in scales]
            found = [_niqe_patch(part) for part in parts]
            if all(part is not None for part in found):
                rows.append(np.concatenate([part for part in found if part is not None]))
    return np.array(rows).reshape(-1, FEATURES)


def patch_side(size: int) -> int:
    """Return the even side of a patch for a picture of that shorter side, in pixels: 96 from 512 px on."""
    return PATCH_PX if size >= 512 else max(8, 2 * round(size * PATCH_SHARE / 2))


def _niqe_patch(patch: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "18"] | None:
    whole, *pairs = (fit_skewed(values) for values in (patch, *products(patch)))
    if whole is None or any(pair is None for pair in pairs):
        return None
    values = [whole.shape, sum(whole.scales) / 2]
    for number, pair in enumerate(pairs):
        left, right = pair.scales  # type: ignore[union-attr]
        # the model's file was made with the left scale in both places of the diagonals: so it must be here
        values += [pair.shape, pair.mean, left, left if number > 1 else right]  # type: ignore[union-attr]
    return np.array(values)


class Brisque:
    """A support vector regression from a picture's statistics to what people said of distorted photos.

    0 is the best and 100 the worst that people saw; values beyond both happen.
    """

    def __init__(
        self, vectors: Float[np.ndarray, "n 36"], weights: Float[np.ndarray, "n"], offset: float, gamma: float
    ) -> None:
        self.vectors, self.weights, self.offset, self.gamma = vectors, weights, offset, gamma

    @classmethod
    def load(cls) -> "Brisque":
        """Load the regression from its carrier package; it is a text file.

        Raises:
            WeightsError: the file is not there or is another one.
        """
        return cls.read(find("brisque"))

    @classmethod
    def read(cls, path: Path) -> "Brisque":
        """Read a regression in libsvm's text format.

        Raises:
            WeightsError: it is not one with a Gaussian kernel over 36 features.
        """
        head, _, body = path.read_text(encoding="utf-8").partition("SV\n")
        fields = dict(line.split(" ", 1) for line in head.splitlines() if " " in line)
        rows = [line.split() for line in body.splitlines() if line.strip()]
        if fields.get("svm_type") != "epsilon_svr" or fields.get("kernel_type") != "rbf" or not rows:
            raise WeightsError(f"{path}: no support vector regression with a Gaussian kernel in libsvm's text format")
        vectors = np.zeros((len(rows), FEATURES))
        for row, cells in zip(vectors, rows, strict=True):
            for cell in cells[1:]:
                place, value = cell.split(":")
                row[int(place) - 1] = float(value)
        weights = np.array([float(cells[0]) for cells in rows])
        return cls(vectors, weights, float(fields["rho"]), float(fields["gamma"]))

    def __call__(self, image: Float[Tensor, "3 h w"]) -> float:
        """Return BRISQUE of a picture (RGB, 0..1); nan for one without any detail."""
        features = brisque_features(image)
        return math.nan if features is None else self.predict(rescaled(features))

    def predict(self, features: Float[np.ndarray, "36"]) -> float:
        """Return the regression's value at rescaled features."""
        squares = ((self.vectors - features) ** 2).sum(1)
        return float(self.weights @ np.exp(-self.gamma * squares)) - self.offset


def rescaled(features: Float[np.ndarray, "36"]) -> Float[np.ndarray, "36"]:
    """Bring each feature's training range to -1..1."""
    least, greatest = np.array(BRISQUE_LEAST), np.array(BRISQUE_GREATEST)
    result: np.ndarray = 2 * (features - least) / (greatest - least) - 1
    return result


def brisque_features(image: Float[Tensor, "3 h w"]) -> Float[np.ndarray, "36"] | None:
    """Return 18 features of the whole picture at each of two scales; `None` without detail. [BRISQUE, Table I]"""
    grey = luma(image)
    values: list[float] = []
    for scale in (grey, halved(grey)):
        field = normalised(scale)
        whole = fit_skewed(field)
        down, across, *diagonals = (fit_skewed(product) for product in products(field))
        fits = (whole, across, down, *diagonals)  # the order that the regression was trained with
        if any(fit is None for fit in fits):
            return None
        values += _brisque_values([fit for fit in fits if fit is not None])
    return np.array(values)


def _brisque_values(fits: Sequence[Skewed]) -> list[float]:
    whole, *pairs = fits
    values = [whole.shape, (whole.left**2 + whole.right**2) / 2]
    for pair in pairs:
        values += [pair.shape, pair.mean, pair.left**2, pair.right**2]
    return values
