"""A training run is one TOML file, read into one `Recipe`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from keepface.config import from_dict, override, read_toml
from keepface.data.pairs import Crop, PairSettings
from keepface.degrade.chains import PRESETS
from keepface.errors import RecipeError

LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "optim": {
        "steps": (1, math.inf),
        "batch": (1, math.inf),
        "lr": (0, math.inf),
        "warmup_steps": (0, math.inf),
        "weight_decay": (0, math.inf),
        "clip": (0, math.inf),
        "ema": (0, 1),
    },
    "run": {"save_every": (1, math.inf), "validate_every": (1, math.inf), "validate_items": (1, math.inf)},
    "batch": {
        "min_references": (1, math.inf),
        "max_references": (1, math.inf),
        "min_others": (0, math.inf),
        "identity_dropout": (0, 1),
        "flip": (0, 1),
        "shift_px": (0, math.inf),
    },
}


@dataclass(frozen=True)
class OptimSettings:
    """AdamW and its learning-rate curve."""

    steps: int = 1000
    batch: int = 32
    lr: float = 5e-5  # [FaceMe, Implementation details]
    schedule: Literal["constant", "cosine"] = "constant"  # cosine falls to 2 % of lr at the last step
    warmup_steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    clip: float = 0.0  # longest gradient; 0 does not clip
    ema: float = 0.0  # decay of the running average that is saved; 0 keeps none


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out; none of it changes what is learned, but for `seed` and `precision`."""

    seed: int = 0
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    save_every: int = 100
    validate_every: int = 500
    validate_items: int = 16


@dataclass(frozen=True)
class BatchSettings:
    """How faces and references are drawn: `PairSettings` with the degradations named by their presets."""

    degradations: tuple[str, ...] = ("full",)  # presets of degrade/chains.py, each drawn as often
    min_references: int = 1
    max_references: int = 4
    min_others: int = 0  # > 0: only people with so many other photos, led by those alone
    own_in_pool: bool = True
    identity_dropout: float = 0.0  # 0.5 in stage II  [FaceMe, Training strategy]
    dropout_per: Literal["batch", "sample"] = "batch"
    flip: float = 0.5
    shift_px: int = 3
    crop: Crop = "aligned"  # "random" cuts squares of random side and place from packs of larger ones  [StableSR]
    clean: bool = False  # low pictures pass the family's pre-cleaner first  [RIDFR, Sec. 4.1 does so at inference]
    reference_px: tuple[float, float] = (64.0, 512.0)  # of reference photos, in 512ths of the face's square
    #   [RIDFR, Sec. 4.1]; where packs' features lead, not used

    def pairs(self) -> PairSettings:
        """Return the settings that `PairSampler` reads."""
        for name in self.degradations or ("",):
            if name not in PRESETS:
                raise RecipeError(f"[batch]: degradation {name!r} is unknown; use some of {', '.join(PRESETS)}")
        if self.min_references > self.max_references:
            raise RecipeError(
                f"[batch]: min_references is {self.min_references}; max_references, {self.max_references}, is less"
            )
        taken_apart = ("degradations", "reference_px", "clean")
        values = {name: value for name, value in vars(self).items() if name not in taken_apart}
        return PairSettings(degradations=tuple(PRESETS[name] for name in self.degradations), **values)


@dataclass(frozen=True)
class Recipe:
    """One training run."""

    task: str  # "autoencoder", "cleaner" or a method's name
    phase: str = ""  # a method's training phase
    init_from: str = ""  # family to start from: bundled name, folder or hub id; empty starts from nothing
    goes_on: bool = False  # a method's phase takes every part that family has; else what the paper begins afresh is so
    optim: OptimSettings = OptimSettings()
    run: RunSettings = RunSettings()
    batch: BatchSettings = BatchSettings()
    family: dict[str, Any] = field(default_factory=dict)  # sizes of a family that starts from nothing
    method: dict[str, Any] = field(default_factory=dict)  # the method's own settings
    loss: dict[str, float] = field(default_factory=dict)  # weights of losses on pictures


def history_line(recipe: Recipe) -> str:
    """Say in one line, for a family's card, what a run was."""
    what = " ".join(part for part in (recipe.task, recipe.phase) if part)
    losses = "".join(f", {name} loss {weight:g}" for name, weight in sorted(recipe.loss.items()))
    return f"{what}: {recipe.optim.steps} steps of {recipe.optim.batch}{losses}, seed {recipe.run.seed}"


def read_recipe(path: Path, assignments: list[str] | None = None) -> Recipe:
    """Read a recipe and apply `--set` assignments.

    Raises:
        RecipeError: unknown keys, wrong types, values out of range; the text names key and file.
    """
    recipe = from_dict(Recipe, override(read_toml(path), assignments or []), path.name)
    for table, limits in LIMITS.items():
        for key, (least, most) in limits.items():
            value = getattr(getattr(recipe, table), key)
            if not least <= value <= most:
                allowed = f"at least {least}" if most == math.inf else f"from {least} to {most}"
                raise RecipeError(f"{path.name} [{table}]: {key} is {value}; it must be {allowed}")
    return recipe
