"""Sampling through diffusers' schedulers as a generator of steps, seeded item by item.

Ho et al. 2020, "Denoising diffusion probabilistic models"  [DDPM]
Song et al. 2021, "Denoising diffusion implicit models"  [DDIM]
Lu et al. 2022, "DPM-Solver++: Fast solver for guided sampling of diffusion probabilistic models"  [DPM-Solver++]
Zhao et al. 2023, "UniPC: a unified predictor-corrector framework"  [UniPC]
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from jaxtyping import Float
from torch import Tensor

from keepface.errors import RecipeError
from keepface.seeds import noise

# DDIM is DPM-Solver++ of first order. diffusers' own DDIM takes all steps for equally long, which they are in
# `leading` schedules alone: a latent would be left at one level of noise and taken for another.
SAMPLERS: dict[str, Any] = {
    "ddpm": DDPMScheduler,
    "ddim": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
}
ORDERS = {"ddim": 1, "unipc": 2}
TRAINED = 1000  # steps of the schedule in training, of every published family
LATEST = 0.9  # share of the schedule after which the first step is: what is before it holds next to nothing but noise
SamplerName = Literal["ddpm", "ddim", "unipc"]
StartName = Literal["low", "low-last", "noise"]

# Predicts eps or v for x_t at time t (the same t for the whole batch), conditions already bound.
Predict = Callable[[Float[Tensor, "b c h w"], Tensor], Float[Tensor, "b c h w"]]


@dataclass(frozen=True)
class SamplerSettings:
    """How to sample.

    name: ddpm is FaceMe's published sampler (50 steps), unipc RIDFR's (20 steps) and our default.
    steps: how many are walked, each asking the networks once.
    start: `low` noises the low picture's latent to the first sampled step; `low-last` to the last training step, as
        FaceMe's release does, whose first sampled step is a little earlier; `noise` starts from noise alone.
    temperature: share of the start noise that is used, 0..1. Below 1 less is invented: calmer textures, fewer
        artefacts, less variety between seeds.
    fidelity: 0..1, how much of the way from noise is left out, starting from the low picture so far noised instead:
        0 walks it all, towards 1 the low picture is hardly changed. The rest is walked in finer steps.  # ours
    """

    name: SamplerName = "unipc"
    steps: int = 20
    start: StartName = "low"
    temperature: float = 1.0
    fidelity: float = 0.0

    def __post_init__(self) -> None:
        for name in ("temperature", "fidelity"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if not 1 <= self.steps <= TRAINED:
            raise RecipeError(f"steps is {self.steps}; it must be from 1 to {TRAINED}")

    @property
    def scheduled(self) -> int:
        """Return how many steps the whole way has, so that what fidelity leaves of it has `steps`; at most 1000."""
        walked = max(1 - self.fidelity, 1 / TRAINED)  # share of the way
        return max(self.steps, min(TRAINED, round(self.steps / walked)))

    @property
    def starts_from_low(self) -> bool:
        """Tell whether the low picture's latent is part of the start; otherwise it need not be computed."""
        return self.start != "noise" or self.fidelity > 0


@dataclass(frozen=True, eq=False)
class Step:
    """One finished sampling step: its number from 1, how many there are, and the latent after it."""

    index: int
    total: int
    x_t: Float[Tensor, "b c h w"]


def make_scheduler(config: dict[str, Any], name: SamplerName, steps: int, device: torch.device) -> Any:
    """Build the named diffusers scheduler from a family's scheduler config, with clipping off and steps set.

    diffusers' DDPM clips predictions to [-1, 1] by default, which is right for pixels and destroys latents.
    Keys that the family's own config leaves to its class are left to the named scheduler's class here.

    The config's spacing of times holds as far as it gives `steps` times that fall from near the end of the schedule;
    else the times are evenly spaced from the last one. So it is with `leading` ones of solvers, which diffusers lays
    out for one step more than is walked.

    Raises:
        RecipeError: the schedule has fewer than `steps` times.
    """
    left_open = config.get("_use_default_values", ())
    wanted = {key: value for key, value in config.items() if key not in left_open and not key.startswith("_")}
    wanted.update(clip_sample=False, thresholding=False)
    if name in ORDERS:
        wanted["solver_order"] = ORDERS[name]
    own = SAMPLERS[name].from_config(wanted)
    spacings = [own.config.timestep_spacing, "linspace", "trailing"]
    if name in ORDERS and spacings[0] == "leading":
        spacings.remove("leading")
    for spacing in spacings:
        scheduler = SAMPLERS[name].from_config(wanted, timestep_spacing=spacing)
        if steps <= scheduler.config.num_train_timesteps:
            scheduler.set_timesteps(steps, device=device)
            if _times_hold(scheduler, steps):
                return scheduler
    raise RecipeError(f"steps is {steps}; the family's schedule has {own.config.num_train_timesteps}")


def _times_hold(scheduler: Any, steps: int) -> bool:
    """Tell whether a scheduler's times are so many, fall, lie within the schedule and begin near its end.

    A few of diffusers' do not: `trailing` ones of some counts have one too many (-1), `leading` ones of all 1000 are
    one too late, and `linspace` ones of a single step are [0].
    """
    times, length = scheduler.timesteps.tolist(), scheduler.config.num_train_timesteps
    falls = all(before > after for before, after in zip(times, times[1:], strict=False))
    return len(times) == steps and falls and times[-1] >= 0 and LATEST * length <= times[0] < length


def start_latent(
    scheduler: Any,
    low: Float[Tensor, "b c h w"],
    settings: SamplerSettings,
    generators: Sequence[torch.Generator],
) -> Float[Tensor, "b c h w"]:
    """Make x_T: noise alone, or the low picture's latent noised to the first step that `sample` walks.

    x_T = sqrt(alpha_bar_T) z_LQ + sqrt(1 - alpha_bar_T) eps  [FaceMe, Inference strategy]
    With a fidelity above 0 the low picture is part of it whatever the start.
    """
    eps = noise(low.shape[1:], generators).to(low) * settings.temperature
    begin = first_step(scheduler, settings.fidelity)
    if settings.start == "noise" and not begin:
        return eps * scheduler.init_noise_sigma
    last = scheduler.config.num_train_timesteps - 1
    t = last if settings.start == "low-last" and not begin else int(scheduler.timesteps[begin])
    alpha_bar = scheduler.alphas_cumprod[t].to(low)
    return alpha_bar.sqrt() * low + (1 - alpha_bar).sqrt() * eps


def first_step(scheduler: Any, fidelity: float) -> int:
    """Return the place among the scheduler's steps at which a fidelity begins: that share is left out, never all."""
    count = len(scheduler.timesteps)
    return min(count - 1, round(fidelity * count))


@torch.no_grad()
def sample(
    predict: Predict,
    scheduler: Any,
    x_T: Float[Tensor, "b c h w"],
    generators: Sequence[torch.Generator],
    fidelity: float = 0.0,
) -> Iterator[Step]:
    """Walk from x_T to x_0, yielding each step; item i draws its noise from generators[i] alone."""
    begin = first_step(scheduler, fidelity)
    walked = scheduler.timesteps[begin:]
    if begin and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    x_t, total = x_T, len(walked)
    wants_noise = isinstance(scheduler, DDPMScheduler)
    for index, t in enumerate(walked, start=1):
        prediction = predict(x_t, t)
        if wants_noise:
            x_t = _ddpm_step(scheduler, prediction, t, x_t, generators)
        else:
            x_t = scheduler.step(prediction, t, x_t, return_dict=False)[0]
        yield Step(index, total, x_t)


def _ddpm_step(
    scheduler: DDPMScheduler,
    prediction: Float[Tensor, "b c h w"],
    t: Tensor,
    x_t: Float[Tensor, "b c h w"],
    generators: Sequence[torch.Generator],
) -> Float[Tensor, "b c h w"]:
    # A batch of generators: each item steps by itself, because the scheduler draws one noise for the whole batch.
    items = [
        scheduler.step(prediction[i : i + 1], t, x_t[i : i + 1], generator=generators[i], return_dict=False)[0]
        for i in range(len(x_t))
    ]
    return torch.cat(items)
