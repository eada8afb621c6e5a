"""Scores learned from people's opinions, and LPIPS and FID, through pyiqa where a user has installed it.

pyiqa is under the PolyForm Noncommercial licence and fetches each score's weights from the net at first use: it is
asked for by name only (`pip install 'keepface[learned-scores]'`), never by default.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.errors import MissingExtraError, WeightsError

LICENCE = "PolyForm Noncommercial 1.0.0 (pyiqa); weights on their authors' terms"


class LearnedScore:
    """One score of pyiqa, by pyiqa's own name for it."""

    def __init__(self, name: str) -> None:
        """Build the network; its weights are fetched unless they are in the user's cache already.

        Raises:
            MissingExtraError: pyiqa is not installed.
            WeightsError: pyiqa can't build it, mostly because its weights can't be fetched.
        """
        self.name, self._score = name, _create(name)

    def __call__(self, restored: Float[Tensor, "3 s s"], truth: Float[Tensor, "3 s s"]) -> float:
        """Return the score of one picture (RGB, 0..1); `truth` counts for scores of a pair, such as LPIPS."""
        pair = restored[None].clamp(0, 1), truth[None].clamp(0, 1)
        is_of_pair = getattr(self._score, "metric_mode", "NR") == "FR"
        return float(self._score(*pair) if is_of_pair else self._score(pair[0]))


def fid(restored: Path, truths: Path) -> float:
    """Return the FID of two folders of pictures in Inception's features, 0 or more. [FID, Eq. 6]

    Raises:
        MissingExtraError: pyiqa is not installed.
        WeightsError: pyiqa can't get Inception's weights, or can't measure the folders.
    """
    score = _create("fid")
    try:
        return float(score(str(restored), str(truths)))
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise WeightsError(f"pyiqa can't measure 'fid' of {restored}: {_first_line(error)}") from None


def _create(name: str) -> Any:
    try:
        import pyiqa
    except ImportError as error:
        raise MissingExtraError(
            f"{name!r} is measured by pyiqa ({_first_line(error)}; licence: {LICENCE}): "
            "pip install 'keepface[learned-scores]'"
        ) from None
    try:
        return pyiqa.create_metric(name, device=torch.device("cpu"))
    except (OSError, RuntimeError, ValueError, KeyError, AssertionError) as error:
        raise WeightsError(f"pyiqa can't build {name!r}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
