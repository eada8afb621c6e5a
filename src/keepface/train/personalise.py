"""Tune one person's part of a method on a few photos of them; a run that was cut off goes on where it stopped.

A batch is a pure function of (seed, step), and a checkpoint is written whole or not at all, so that a run in two parts
ends in the same file as an unbroken one. Where checkpoints are kept is the caller's: in a folder, or in a library.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepface.config import to_dict
from keepface.degrade.chains import PRESETS, draw, replay_batch
from keepface.device import DTYPES
from keepface.diffusion.cleaner import Cleaner
from keepface.diffusion.family import Family
from keepface.diffusion.personal_part import PersonalBatch, Variant
from keepface.diffusion.sampler import SamplerSettings, Step
from keepface.errors import DataError, RecipeError
from keepface.image.size import resize
from keepface.methods import sampling_of
from keepface.methods.method import References
from keepface.seeds import generator, numpy_generator
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState

ADAPTER, PLAN = "adapter.safetensors", "tuning.json"
SAVE_AT_MOST = 10  # steps between two checkpoints
MARGIN = 1.5  # ours: side of a photo over that of the face's square in its middle; the latter becomes the reference
CHANGES_NOTHING = ("save_every", "preview_every", "preview_steps")  # of what is learned


@dataclass(frozen=True)
class TuneSettings:
    """How a person is tuned. [PFStorer, Sec. 4]

    variant: what is tuned; `vico` and `dreambooth` are the paper's ablations.
    batch: ours; ViCo has one photo on each of four GPUs.
    spread: photos that are larger than the family's square are cut at random: squares of any side, whose middle lies
        up to so many of their sides from the photo's. Ours: at a quarter, no less than 60 % of a face that stands in a
        photo of MARGIN faces' squares is in every cut.
    preview_every: steps between two previews; 0 makes none.
    preview_steps: sampling steps of one; `None` is the family's own number.
    """

    variant: Variant = "personal"
    steps: int = 500
    batch: int = 4
    seed: int = 0
    degradations: tuple[str, ...] = ("pfstorer", "full")  # presets of degrade/chains.py, each drawn as often
    spread: float = 0.25
    save_every: int = SAVE_AT_MOST
    preview_every: int = 50
    preview_steps: int | None = None
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("spread", 0), ("preview_every", 0), ("preview_steps", 1)):
            given = getattr(self, name)
            if given is not None and given < least:
                raise RecipeError(f"personalise: {name} is {given}; it must be {least} or more")
        if not 1 <= self.save_every <= SAVE_AT_MOST:
            raise RecipeError(f"personalise: save_every is {self.save_every}; it must be from 1 to {SAVE_AT_MOST}")
        for name in self.degradations or ("",):
            if name not in PRESETS:
                raise RecipeError(f"personalise: degradation {name!r} is unknown; use some of {', '.join(PRESETS)}")


@runtime_checkable
class Tunable(Protocol):
    """What a method offers whose identity is learned from a person's photos."""

    name: str
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

    def adapter(self, notes: Mapping[str, str]) -> bytes:
        """Return the person's file."""
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


@runtime_checkable
class Keeping(Protocol):
    """Where a run is kept between two calls."""

    def begin(self, plan: str) -> None:
        """Write down what the run is; a `RecipeError` if another one was begun here."""
        ...

    def resume(self, state: TrainState) -> None:
        """Load the newest whole checkpoint into `state`, if there is one."""
        ...

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, whole or not at all."""
        ...


@dataclass(frozen=True)
class KeptInFolder:
    """A run in a folder of the caller's."""

    folder: Path

    def begin(self, plan: str) -> None:
        """Write down what the run is."""
        other = "this run was begun with other photos, settings or another base; choose another folder"
        checkpoint.keep_plan(self.folder / PLAN, plan, other)

    def resume(self, state: TrainState) -> None:
        """Load the newest whole checkpoint into `state`, if there is one."""
        checkpoint.resume(state, self.folder)

    def save(self, state: TrainState) -> None:
        """Write a checkpoint."""
        checkpoint.save(state, self.folder)


def personalise(
    method: Tunable,
    photos: Sequence[Float[Tensor, "3 _ _"]],
    folder: Path,
    settings: TuneSettings = TuneSettings(),  # noqa: B008 - frozen
    prior: Float[Tensor, "n 3 s s"] | None = None,
    callbacks: Callbacks = Callbacks(),  # noqa: B008 - frozen
) -> Path:
    """Tune a person as `tune` does, and return the person's file. The same call goes on with what is in `folder`.

    Raises:
        DataError, RecipeError: as `tune`.
    """
    notes = tune(method, photos, KeptInFolder(folder), settings, prior, callbacks)
    method.save_adapter(folder / ADAPTER, notes)
    return folder / ADAPTER


def tune(
    method: Tunable,
    photos: Sequence[Float[Tensor, "3 _ _"]],
    keeping: Keeping,
    settings: TuneSettings = TuneSettings(),  # noqa: B008 - frozen
    prior: Float[Tensor, "n 3 s s"] | None = None,
    callbacks: Callbacks = Callbacks(),  # noqa: B008 - frozen
) -> dict[str, str]:
    """Tune a person on their photos (3 to 5; RGB, 0..1, the face in the middle), and return notes for their file.

    The method has the person loaded then. Low pictures are shown cleaned where the family learned the method so.

    Args:
        photos: squares of the family's size, or larger ones for squares to be cut from at random.
        prior: other people's squares, for the variant `dreambooth`.

    Raises:
        DataError: there are no photos, or one is too small; the variant needs other people's pictures.
        RecipeError: the run was begun with other photos, settings or another base.
    """
    size = method.family.size
    _check(photos, size, settings, prior)
    faces = torch.stack([face_square(photo, size) for photo in photos])
    method.begin_person(faces, settings.variant, settings.seed)
    text = plan(method, photos, settings, prior)
    keeping.begin(text)
    networks = method.trainable(settings.variant).train()
    optimiser = torch.optim.AdamW(method.parameter_groups(), betas=(0.9, 0.999), eps=1e-8)
    state = TrainState(networks, optimiser, {})
    keeping.resume(state)
    cleaner = Cleaner.learned_with(method.family, method.name)
    while state.step < settings.steps:
        batch = draw_batch(photos, prior, method.family, state.step, settings)
        loss = _step(method, state, _cleaned(batch, cleaner), settings)
        is_last = state.step == settings.steps
        if state.step % settings.save_every == 0 or is_last:
            keeping.save(state)
        if callbacks.progress:
            callbacks.progress(state.step, settings.steps, loss)
        if callbacks.preview and settings.preview_every and (state.step % settings.preview_every == 0 or is_last):
            callbacks.preview(state.step, *preview(method, faces[:1], settings, cleaner))
    networks.eval().requires_grad_(False)
    return _notes(settings, optimiser, text)


def plan(
    method: Tunable,
    photos: Sequence[Tensor],
    settings: TuneSettings,
    prior: Tensor | None = None,
) -> str:
    """Write down all that decides what a run learns: settings, photos and base."""
    shown = [*photos, *([] if prior is None else [prior])]
    seen = [hashlib.sha256(photo.cpu().contiguous().numpy().tobytes()).hexdigest() for photo in shown]
    kept = {name: value for name, value in to_dict(settings).items() if name not in CHANGES_NOTHING}
    cleaned = {"cleaned": True} if method.name in method.family.card.cleaned else {}
    return json.dumps({"settings": kept, "photos": seen, "base": method.base_hash(), **cleaned}, indent=1) + "\n"


def plan_digest(text: str) -> str:
    """Return the SHA-256 of a plan, by which a person's file tells what it was learned by."""
    return hashlib.sha256(text.encode()).hexdigest()


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
    clean = torch.stack([_random_cut(photos[target], family.size, settings.spread, rng) for target in targets])
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
    method: Tunable, photo: Float[Tensor, "1 3 s s"], settings: TuneSettings, cleaner: Cleaner | None = None
) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, "3 s s"]]:
    """Restore a photo that was made low, always the same way, for the person as far as they are learned.

    It is sampled as the family's card says.
    """
    low = _degrade(photo, settings, numpy_generator(settings.seed, "preview"))
    who = References(torch.zeros(1, 0), torch.zeros(1, 0), torch.ones(1))
    shown = cleaner.clean(low) if cleaner else low
    own = sampling_of(method.family.card, method.name)
    sampler = SamplerSettings("unipc", settings.preview_steps or own.steps, own.start, own.temperature, own.fidelity)
    steps: list[Step] = list(method.restore(shown, [who], sampler, own.guidance, [0]))
    return low[0], method.family.decode(steps[-1].x_t)[0]


def _cleaned(batch: PersonalBatch, cleaner: Cleaner | None) -> PersonalBatch:
    if cleaner is None:
        return batch
    known = batch.prior and (batch.prior[0], cleaner.clean(batch.prior[1]))
    return replace(batch, low=cleaner.clean(batch.low), prior=known)


def _degrade(squares: Float[Tensor, "b 3 s s"], settings: TuneSettings, rng: Any) -> Float[Tensor, "b 3 s s"]:
    among = settings.degradations
    draws = [draw(PRESETS[among[int(rng.integers(len(among)))]], rng, squares.shape[-1]) for _ in squares]
    return replay_batch(draws, squares)


def face_square(photo: Float[Tensor, "3 _ _"], size: int) -> Float[Tensor, "3 s s"]:
    """Cut the face's square from the middle of a photo that has a margin round it, as a square of `size` pixels."""
    side = max(size, round(min(photo.shape[1:]) / MARGIN))
    return _cut(photo, size, side, (0.0, 0.0))


def _random_cut(
    photo: Float[Tensor, "3 _ _"], size: int, spread: float, rng: np.random.Generator
) -> Float[Tensor, "3 s s"]:
    side = int(rng.integers(size, min(photo.shape[1:]) + 1))
    x, y = rng.uniform(-spread * side, spread * side, 2)
    return _cut(photo, size, side, (float(x), float(y)))


def _cut(photo: Float[Tensor, "3 _ _"], size: int, side: int, shift: tuple[float, float]) -> Float[Tensor, "3 s s"]:
    """Cut a square so many pixels (x, y) from the middle, or as far as the photo goes, and bring it to `size`."""
    free_y, free_x = photo.shape[1] - side, photo.shape[2] - side
    left = min(max(free_x // 2 + round(shift[0]), 0), free_x)
    top = min(max(free_y // 2 + round(shift[1]), 0), free_y)
    return resize(photo[:, top : top + side, left : left + side], (size, size), "bicubic")


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


def _step(method: Tunable, state: TrainState, batch: PersonalBatch, settings: TuneSettings) -> float:
    """Make one step of the optimiser, and return the loss before it."""
    with torch.autocast(method.family.device.type, DTYPES[settings.precision], settings.precision != "float32"):
        total = method.loss(batch, settings.variant)["total"]
    state.optimiser.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()
    method.after_step()
    state.step += 1
    return float(total.detach())


def _notes(settings: TuneSettings, optimiser: torch.optim.Optimizer, text: str) -> dict[str, str]:
    rates = ", ".join(f"{group['lr']:g}" for group in optimiser.param_groups)
    told = {"steps": str(settings.steps), "batch": str(settings.batch), "seed": str(settings.seed), "rates": rates}
    return {**told, "plan": plan_digest(text)}
