"""Values of whole rows: Frechet distances, and Identity Variance over the rows that differ only in the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from keepface.bench.features import Vectors
from keepface.bench.results import Result
from keepface.errors import MissingExtraError, WeightsError
from keepface.metrics.distribution import frechet_of_features
from keepface.metrics.learned import fid
from keepface.metrics.variance import pairwise_distance, total_variance

EFFNET, FID = "effnet frechet distance", "fid"
TRUTH = "truth"  # stands in the row's place in the keys of the truths
LEAST = 2  # pictures of which a covariance can be told


@dataclass(frozen=True)
class Variance:
    """Identity Variance of one person's restorations: total variance (0..1) and mean pairwise distance (0..2)."""

    total: float
    pairwise: float


def effnet_distances(results: Sequence[Result], pooled: Vectors, preset: str) -> dict[str, float]:
    """Return the distance of each row of one preset from the truths of the same people."""
    found = {}
    for row in {result.row for result in results if result.preset == preset}:
        people = [result.person for result in results if (result.preset, result.row) == (preset, row)]
        ours = pooled.read([(preset, row, person) for person in people])
        truths = pooled.read([(TRUTH, person) for person in people])
        pairs = [(ours[key], truths[TRUTH, key[2]]) for key in ours if (TRUTH, key[2]) in truths]
        if len(pairs) >= LEAST:
            first, second = (np.stack(list(side)) for side in zip(*pairs, strict=True))
            found[row] = frechet_of_features(first, second)
    return found


def fid_distances(folders: Mapping[str, Path], truths: Path) -> tuple[dict[str, float], str]:
    """Return the FID of each row's folder from the truths' folder, and why there is none for the others."""
    found: dict[str, float] = {}
    for row, folder in folders.items():
        if folder.is_dir():
            try:
                found[row] = fid(folder, truths)
            except (MissingExtraError, WeightsError) as reason:
                return found, str(reason)
    return found, ""


def variances(judged: Vectors, preset: str, rows: Sequence[str], people: Sequence[str]) -> dict[str, Variance]:
    """Return Identity Variance for the people who have a result in every row."""
    found = {}
    for person in people:
        keys = [(preset, row, person) for row in rows]
        vectors = judged.read(keys)
        if len(vectors) == len(keys):
            stacked = torch.from_numpy(np.stack([vectors[key] for key in keys]).copy())
            found[person] = Variance(total_variance(stacked), pairwise_distance(stacked))
    return found
