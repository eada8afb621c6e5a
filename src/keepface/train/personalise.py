"""Tune one person's part of a method on a few photos of them; a run that was cut off goes on where it stopped.

A batch is a pure function of (seed, step), and a checkpoint is written whole or not at all, so that a run in two parts
ends in the same file as an unbroken one.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepface.config import to_dict
from keepface.degrade.chains import PRESETS, draw, replay_batch
from keepface.device import DTYPES
from keepface.diffusion.family import Family
from keepface.diffusion.personal_part import PersonalBatch, Variant
from keepface.diffusion.sampler import SamplerSettings, Step
from keepface.errors import DataError, RecipeError
from keepface.methods.method import References
from keepface.seeds import generator, numpy_generator
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState

ADAPTER, PLAN = "adapter.safetensors", "tuning.json"
SAVE_AT_MOST = 10  # steps between two checkpoints
CHANGES_NOTHING = ("save_every", "preview_every", "preview_steps")  # of what is learned


@dataclass(frozen=True)
class TuneSettings:
    """How a person is tuned. [PFStorer, Sec. 4]

    variant: what is tuned; `vico` and `dreambooth` are the paper's ablations.
    batch: ours; ViCo has one photo on each of four GPUs.
    shift_px: photos that are larger than the family's square are cut up to so far from their middle.
    preview_every: steps between two previews; 0 makes none.
    """

    variant: Variant = "personal"
    steps: int = 500
    batch: int = 4
    seed: int = 0
    degradations: tuple[str, ...] = ("pfstorer", "full")  # presets of degrade/chains.py, each drawn as often
    shift_px: int = 3
    save_every: int = SAVE_AT_MOST
    preview_every: int = 50
    preview_steps: int = 10
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("shift_px", 0), ("preview_every", 0), ("preview_steps", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"personalise: {name} is {getattr(self, name)}; it must be {least} or more")
        if not 1 <= self.save_every <= SAVE_AT_MOST:
            raise RecipeError(f"personalise: save_every is {self.save_every}; it must be from 1 to {SAVE_AT_MOST}")
        for name in self.degradations or ("",):
            if name not in PRESETS:
                raise RecipeError(f"personalise: degradation {name!r} is unknown; use some of {', '.join(PRESETS)}")


@runtime_checkable
class Tunable(Protocol):
    """What a method offers whose identity is learned from a person's photos."""

    family: Family

    def begin_person(self, photos: Float[Tensor, "r 3 s s"], variant: Variant, seed: int) -> None:
        """Begin a person whose references are these photos."""
        ...

    def trainable(self, phase: str) -> nn.Module:
        """Freeze everything but the begun person's part, and return that."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return that part's parameters with their learning rates."""
        ...

    def loss(self, batch: PersonalBatch, phase: str) -> dict[str, Tensor]:
        """Return the losses of one batch, `total` among them."""
        ...

    def after_step(self) -> None:
        """Keep what a step changed within its limits."""
        ...

    def restore(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[References | None],
        settings: SamplerSettings,
        guidance: float,
        seeds: Sequence[int],
    ) -> Any:
        """Yield each sampling step."""
        ...

    def save_adapter(self, path: Path, notes: Mapping[str, str]) -> None:
        """Write the person's file."""
        ...

    def base_hash(self) -> str:
        """Return the fingerprint of what the person is learned over."""
        ...


@dataclass(frozen=True)
class Callbacks:
    """Whom a run tells how it goes on.

    progress: is told steps done, of how many, and the loss.
    preview: is told steps done, and the first photo's square (RGB, 0..1) low and as the person is restored by now.
    """

    progress: Callable[[int, int, float], None] | None = None
    preview: Callable[[int, Tensor, Tensor], None] | None = None


def personalise(
    method: Tunable,
    photos: Sequence[Float[Tensor, "3 _ _"]],
    folder: Path,
    settings: TuneSettings = TuneSettings(),  # noqa: B008 - frozen
    prior: Float[Tensor, "n 3 s s"] | None = None,
    callbacks: Callbacks = Callbacks(),  # noqa: B008 - frozen
) -> Path:
    """Tune a person on their photos (3 to 5; RGB, 0..1, faces as the family knows them), and return the person's file.

    The method has the person loaded then. The same call goes on with what is in `folder`.

    Args:
        photos: squares of the family's size, or larger ones for squares to be cut from at random.
        prior: other people's squares, for the variant `dreambooth`.

    Raises:
        DataError: there are no photos, or one is too small; the variant needs other people's pictures.
        RecipeError: the folder was begun with other photos, settings or another base.
    """
    size = method.family.size
    _check(photos, size, settings, prior)
    centres = torch.stack([_cut(photo, size, (0, 0)) for photo in photos])
    method.begin_person(centres, settings.variant, settings.seed)
    _keep_plan(folder, _plan(method, photos, settings, prior))
    networks = method.trainable(settings.variant).train()
    optimiser = torch.optim.AdamW(method.parameter_groups(), betas=(0.9, 0.999), eps=1e-8)
    state = TrainState(networks, optimiser, {})
    checkpoint.resume(state, folder)
    while state.step < settings.steps:
        batch = draw_batch(photos, prior, method.family, state.step, settings)
        with torch.autocast(method.family.device.type, DTYPES[settings.precision], settings.precision != "float32"):
            total = method.loss(batch, settings.variant)["total"]
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        method.after_step()
        state.step += 1
        is_last = state.step == settings.steps
        if state.step % settings.save_every == 0 or is_last:
            checkpoint.save(state, folder)
        if callbacks.progress:
            callbacks.progress(state.step, settings.steps, float(total.detach()))
        if callbacks.preview and settings.preview_every and (state.step % settings.preview_every == 0 or is_last):
            callbacks.preview(state.step, *preview(method, centres[:1], settings))
    networks.eval().requires_grad_(False)
    method.save_adapter(folder / ADAPTER, _notes(settings, optimiser))
    return folder / ADAPTER


def draw_batch(
    photos: Sequence[Float[Tensor, "3 _ _"]],
    prior: Float[Tensor, "n 3 s s"] | None,
    family: Family,
    step: int,
    settings: TuneSettings,
) -> PersonalBatch:
    """Draw a step's photos, each with another photo as its reference where there is one. [PFStorer, Sec. 3.2]"""
    rng, noise = numpy_generator(settings.seed, "person", step), generator(settings.seed, "person", step)
    targets = [int(rng.integers(len(photos))) for _ in range(settings.batch)]
    others = [(target + int(rng.integers(1, max(2, len(photos))))) % len(photos) for target in targets]
    shifts = [tuple(rng.integers(-settings.shift_px, settings.shift_px + 1, 2).tolist()) for _ in targets]
    clean = torch.stack([_cut(photos[k], family.size, shift) for k, shift in zip(targets, shifts, strict=True)])
    known = None
    if prior is not None:
        faces = prior[torch.from_numpy(rng.integers(len(prior), size=settings.batch))]
        known = (faces, _degrade(faces, settings, rng))
    return PersonalBatch(
        clean=clean,
        low=_degrade(clean, settings, rng),
        reference=torch.tensor(others),
        eps=torch.randn((settings.batch, *family.latent_shape), generator=noise),
        t=torch.randint(0, family.scheduler.config.num_train_timesteps, (settings.batch,), generator=noise),
        prior=known,
    )


def preview(
    method: Tunable, photo: Float[Tensor, "1 3 s s"], settings: TuneSettings
) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, "3 s s"]]:
    """Restore a photo that was made low, always the same way, for the person as far as they are learned."""
    low = _degrade(photo, settings, numpy_generator(settings.seed, "preview"))
    who = References(torch.zeros(1, 0), torch.zeros(1, 0), torch.ones(1))
    steps: list[Step] = list(method.restore(low, [who], SamplerSettings(steps=settings.preview_steps), 1.0, [0]))
    return low[0], method.family.decode(steps[-1].x_t)[0]


def _degrade(squares: Float[Tensor, "b 3 s s"], settings: TuneSettings, rng: Any) -> Float[Tensor, "b 3 s s"]:
    among = settings.degradations
    draws = [draw(PRESETS[among[int(rng.integers(len(among)))]], rng, squares.shape[-1]) for _ in squares]
    return replay_batch(draws, squares)


def _cut(photo: Float[Tensor, "3 _ _"], size: int, shift: Sequence[int]) -> Float[Tensor, "3 s s"]:
    """Cut a square so many pixels (x, y) from the middle, or as far as the photo goes."""
    free_y, free_x = photo.shape[1] - size, photo.shape[2] - size
    left = min(max(free_x // 2 + shift[0], 0), free_x)
    top = min(max(free_y // 2 + shift[1], 0), free_y)
    return photo[:, top : top + size, left : left + size]


def _check(photos: Sequence[Tensor], size: int, settings: TuneSettings, prior: Tensor | None) -> None:
    if not photos:
        raise DataError("personalise: there are no photos; give 3 to 5 of the person")
    for number, photo in enumerate(photos, 1):
        if min(photo.shape[1:]) < size:
            height, width = photo.shape[1:]
            raise DataError(f"personalise: photo {number} is {width} x {height} px; the family needs {size} x {size}")
    if (settings.variant == "dreambooth") != (prior is not None):
        needs = "needs squares of other people" if prior is None else "takes no squares of other people"
        raise DataError(f"personalise: variant {settings.variant!r} {needs}: personalise(prior=...)")


def _plan(method: Tunable, photos: Sequence[Tensor], settings: TuneSettings, prior: Tensor | None) -> str:
    shown = [*photos, *([] if prior is None else [prior])]
    seen = [hashlib.sha256(photo.cpu().contiguous().numpy().tobytes()).hexdigest() for photo in shown]
    kept = {name: value for name, value in to_dict(settings).items() if name not in CHANGES_NOTHING}
    return json.dumps({"settings": kept, "photos": seen, "base": method.base_hash()}, indent=1) + "\n"


def _keep_plan(folder: Path, text: str) -> None:
    other = "this run was begun with other photos, settings or another base; choose another folder"
    checkpoint.keep_plan(folder / PLAN, text, other)


def _notes(settings: TuneSettings, optimiser: torch.optim.Optimizer) -> dict[str, str]:
    rates = ", ".join(f"{group['lr']:g}" for group in optimiser.param_groups)
    return {"steps": str(settings.steps), "batch": str(settings.batch), "seed": str(settings.seed), "rates": rates}
