"""How much the person restored depends on which photo of them led: Identity Variance over K references.

    Fang et al. 2025, "Robust ID-Specific Face Restoration via Alignment Learning"  [RIDFR]

One low picture is restored K times from one seed, each time led by another photo; the judge embeds the results. The
paper gives no formula. Both forms here are of unit embeddings; total variance = (1 - 1/K) * pairwise distance, so the
second can be compared across different K.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def total_variance(embeddings: Float[Tensor, "k d"]) -> float:
    """Return the total variance of unit embeddings, 0 (all equal) to 1."""
    mean = _units(embeddings).mean(0)
    return max(0.0, float(1 - mean @ mean))


def pairwise_distance(embeddings: Float[Tensor, "k d"]) -> float:
    """Return 1 less the mean cosine of all pairs, 0 to 2; 0 for a single embedding."""
    units = _units(embeddings)
    cosines = units @ units.T
    above = torch.triu_indices(len(units), len(units), offset=1)
    return max(0.0, float(1 - cosines[above[0], above[1]].mean())) if len(units) > 1 else 0.0


def _units(embeddings: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    units: Tensor = torch.nn.functional.normalize(embeddings.double(), dim=1)
    return units
