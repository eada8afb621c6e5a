"""How far a set of restored pictures is from the set of true ones: the Frechet distance of their features.

    Dowson & Landau 1982, "The Frechet Distance between Multivariate Normal Distributions"  [Frechet]
    Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule ..."  [FID]

In EfficientNet-Lite0's pooled features it is the "effnet frechet distance"; it is NOT the FID, which takes Inception's.
With fewer pictures than features the covariances are far from full, and the value is too high by an amount that
depends on the number: only rows of one table over the same pictures can be compared.
"""

import numpy as np
from jaxtyping import Float


def frechet_of_features(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Return the squared distance of Gaussians fitted to two sets of features, at least two of each; 0 or more.

    It is computed among the pictures instead of the features: the trace of the root of the covariances' product
    is the sum of the singular values of the centred features' product. [Frechet, Eq. 4; FID, Eq. 6]
    """
    first, second = a.astype(np.float64), b.astype(np.float64)
    apart = first.mean(0) - second.mean(0)
    spread_a = (first - first.mean(0)) / np.sqrt(len(first) - 1)
    spread_b = (second - second.mean(0)) / np.sqrt(len(second) - 1)
    cross = np.linalg.svd(spread_a @ spread_b.T, compute_uv=False).sum()
    value = apart @ apart + (spread_a**2).sum() + (spread_b**2).sum() - 2 * cross
    return max(0.0, float(value))
