"""A drawn step of a degradation, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

Values = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Step:
    """One drawn step of a degradation: a kind of the table `keepface.degrade.step.STEPS` and its values."""

    kind: str
    values: dict[str, float | int | str]
