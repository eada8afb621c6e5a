"""Schedules against their published numbers; samplers against Gaussian data, whose ODE has a closed form."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from keepface.diffusion.sampler import SAMPLERS, SamplerSettings, first_step, make_scheduler, sample, start_latent
from keepface.errors import RecipeError
from keepface.seeds import generator, noise

CPU = torch.device("cpu")
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
SDXL = BETAS | {"clip_sample": False, "timestep_spacing": "leading", "steps_offset": 1}


def config(tmp_path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Read the values as a family's scheduler config is read: from a file, by diffusers."""
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"_class_name": "DDPMScheduler", **values}))
    return dict(DDPMScheduler.from_pretrained(tmp_path).config)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("says", [{}, {"clip_sample": True, "thresholding": True}])
def test_no_sampler_clips_whatever_the_config_says_or_leaves_open(name: Any, says: dict, tmp_path: Path) -> None:
    scheduler = make_scheduler(config(tmp_path, BETAS | says), name, 10, CPU)
    assert not scheduler.config.get("clip_sample", False) and not scheduler.config.thresholding
    x, t = torch.full((1, 1, 2, 2), 30.0), scheduler.timesteps[0]
    moved = scheduler.step(torch.zeros_like(x), t, x, return_dict=False)[0]
    assert moved.mean() > 20


def test_ddpm_50_of_sdxl_takes_the_published_times(tmp_path: Path) -> None:
    scheduler = make_scheduler(config(tmp_path, SDXL), "ddpm", 50, CPU)
    assert scheduler.timesteps.tolist() == list(range(981, 0, -20))


def test_unipc_20_takes_linspace_where_the_config_names_no_spacing(tmp_path: Path) -> None:
    scheduler = make_scheduler(config(tmp_path, BETAS), "unipc", 20, CPU)
    times = scheduler.timesteps.tolist()
    assert times[:2] == [999, 949] and times[-1] == 50 and len(times) == 20


def test_the_end_of_stable_diffusions_schedule_keeps_seven_per_cent_of_the_picture(tmp_path: Path) -> None:
    alpha_bar = make_scheduler(config(tmp_path, SDXL), "ddpm", 50, CPU).alphas_cumprod
    assert float(alpha_bar[999]) == pytest.approx(0.004660, abs=5e-7)
    assert float(alpha_bar[999].sqrt()) == pytest.approx(0.0683, abs=5e-5)
    assert float(alpha_bar[981].sqrt()) == pytest.approx(0.0760, abs=5e-5)


@pytest.mark.parametrize(("start", "t"), [("low", 981), ("low-last", 999), ("noise", None)])
def test_the_start_is_the_low_latent_noised_to_the_time_asked_for(start: Any, t: int | None, tmp_path: Path) -> None:
    scheduler = make_scheduler(config(tmp_path, SDXL), "ddpm", 50, CPU)
    low, seeds = torch.full((2, 1, 3, 3), 5.0), (3, 4)
    found = start_latent(scheduler, low, SamplerSettings(start=start), [generator(seed) for seed in seeds])
    eps = noise((1, 3, 3), [generator(seed) for seed in seeds])
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha_bar = float((1 - betas).cumprod(0)[t]) if t is not None else 0.0
    torch.testing.assert_close(found, alpha_bar**0.5 * low + (1 - alpha_bar) ** 0.5 * eps, rtol=1e-4, atol=1e-4)


SPACINGS = ("leading", "linspace", "trailing")
COUNTS = (1, 2, 3, 4, 7, 10, 20, 50, 200, 434, 499, 600, 999, 1000)  # `trailing` has a time too many at 434 and 499


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_whatever_the_sampler_spacing_and_number_of_steps_the_times_fall_from_near_the_end(
    name: Any, spacing: str
) -> None:
    for steps in COUNTS:
        scheduler = make_scheduler(SDXL | {"timestep_spacing": spacing}, name, steps, CPU)
        times = scheduler.timesteps.tolist()
        assert len(times) == steps and times == sorted(set(times), reverse=True)
        assert 900 <= times[0] <= 999 and times[-1] >= 0


def test_solvers_walk_from_the_last_time_where_the_config_says_leading(tmp_path: Path) -> None:
    for name in ("ddim", "unipc"):
        times = make_scheduler(config(tmp_path, SDXL), name, 20, CPU).timesteps.tolist()  # type: ignore[arg-type]
        assert times[:2] == [999, 949] and len(times) == 20


def alpha_bars() -> Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("fidelity", [0.0, 0.3])
def test_the_start_is_noised_to_the_first_step_that_is_walked(name: Any, spacing: str, fidelity: float) -> None:
    low, alpha_bar = torch.full((1, 1, 4, 4), 5.0, dtype=torch.float64), alpha_bars()
    eps = noise((1, 4, 4), [generator(0)]).double()
    for steps in COUNTS:
        scheduler = make_scheduler(SDXL | {"timestep_spacing": spacing}, name, steps, CPU)
        seen: list[int] = []

        def predict(x_t: Tensor, t: Tensor, seen: list[int] = seen) -> Tensor:
            seen.append(int(t))
            return torch.zeros_like(x_t)

        x_T = start_latent(scheduler, low, SamplerSettings(fidelity=fidelity), [generator(0)])
        next(sample(predict, scheduler, x_T, [generator(1)], fidelity))
        a = float(alpha_bar[seen[0]])
        torch.testing.assert_close(x_T, a**0.5 * low + (1 - a) ** 0.5 * eps, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ddim", "unipc"])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("fidelity", [0.0, 0.3])
def test_told_the_starts_own_noise_a_solver_walks_back_to_the_low_latent(
    name: Any, spacing: str, predicts: str, fidelity: float
) -> None:
    """Only if start and first step, and each step and the next, are of one level of noise."""
    low, alpha_bar = torch.linspace(-3, 3, 16).view(1, 1, 4, 4), alpha_bars()
    eps = noise((1, 4, 4), [generator(0)])

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        a = float(alpha_bar[int(t)])
        return eps if predicts == "epsilon" else a**0.5 * eps - (1 - a) ** 0.5 * low

    for steps in COUNTS[:-3]:
        scheduler = make_scheduler(SDXL | {"timestep_spacing": spacing, "prediction_type": predicts}, name, steps, CPU)
        x_T = start_latent(scheduler, low, SamplerSettings(fidelity=fidelity), [generator(0)])
        *_, last = sample(predict, scheduler, x_T, [generator(1)], fidelity)
        torch.testing.assert_close(last.x_t, low, atol=2e-3, rtol=0)


def test_temperature_scales_the_start_noise_alone(tmp_path: Path) -> None:
    scheduler, low = make_scheduler(config(tmp_path, SDXL), "unipc", 5, CPU), torch.ones(1, 1, 4, 4)
    at = [start_latent(scheduler, low, SamplerSettings(temperature=x), [generator(0)]) for x in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(at[0], low * 0.0683, atol=1e-4, rtol=0)
    torch.testing.assert_close(at[1], (at[0] + at[2]) / 2)


def gaussian(scheduler: Any, mean: float, deviation: float) -> Any:
    """Return the exact eps of data distributed as N(mean, deviation^2)."""

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        alpha_bar = scheduler.alphas_cumprod[t]
        variance = alpha_bar * deviation**2 + 1 - alpha_bar
        return (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * mean) / variance

    return predict


@pytest.mark.parametrize("name", ["ddim", "unipc"])
@pytest.mark.parametrize(("fidelity", "walked"), [(0.0, 100), (0.4, 60), (1.0, 1)])
def test_deterministic_samplers_follow_the_closed_ode_of_gaussian_data(name: Any, fidelity: float, walked: int) -> None:
    mean, deviation = 2.0, 0.5
    scheduler = make_scheduler(BETAS | {"timestep_spacing": "trailing"}, name, 100, CPU)
    alpha_bar = scheduler.alphas_cumprod[10 * walked - 1]
    z = torch.linspace(-2, 2, 16).view(1, 1, 4, 4)  # deviations from the mean, which the ODE keeps
    x_T = alpha_bar.sqrt() * mean + (alpha_bar * deviation**2 + 1 - alpha_bar).sqrt() * z
    *_, last = sample(gaussian(scheduler, mean, deviation), scheduler, x_T, [generator(0)], fidelity)
    torch.testing.assert_close(last.x_t, mean + deviation * z, atol=0.05, rtol=0)
    assert (last.index, last.total) == (walked, walked)


@pytest.mark.parametrize("steps", [1, 3, 4, 6, 20])
@pytest.mark.parametrize("fidelity", [0.0, 0.2, 0.25, 0.5, 0.7, 0.9])
def test_as_many_steps_are_walked_as_asked_whatever_is_left_out(steps: int, fidelity: float) -> None:
    settings = SamplerSettings(steps=steps, fidelity=fidelity)
    scheduler = make_scheduler(BETAS | {"timestep_spacing": "trailing"}, "unipc", settings.scheduled, CPU)
    begin = first_step(scheduler, fidelity)
    assert len(scheduler.timesteps) - begin == steps
    assert int(scheduler.timesteps[begin]) + 1 == pytest.approx(1000 * (1 - fidelity), abs=1000 / settings.scheduled)


def test_where_next_to_all_is_left_out_the_schedule_is_no_finer_than_in_training() -> None:
    assert (
        SamplerSettings(steps=20, fidelity=0.999).scheduled == SamplerSettings(steps=20, fidelity=1.0).scheduled == 1000
    )


def test_fidelity_starts_from_the_low_latent_at_the_first_step_walked(tmp_path: Path) -> None:
    scheduler, low = make_scheduler(config(tmp_path, SDXL), "ddpm", 50, CPU), torch.full((1, 1, 4, 4), 5.0)
    eps = noise((1, 4, 4), [generator(0)])
    for start in ("low", "noise"):
        settings = SamplerSettings(start=start, fidelity=0.5)  # 25 of 981, 961, ... are left out
        alpha_bar = scheduler.alphas_cumprod[481]
        found = start_latent(scheduler, low, settings, [generator(0)])
        torch.testing.assert_close(found, alpha_bar.sqrt() * low + (1 - alpha_bar).sqrt() * eps)


def test_ddpm_draws_gaussian_data_with_its_mean_and_deviation() -> None:
    scheduler = make_scheduler(BETAS | {"timestep_spacing": "trailing"}, "ddpm", 500, CPU)
    x_T = noise((1, 64, 64), [generator(0)])
    *_, last = sample(gaussian(scheduler, 2.0, 0.5), scheduler, x_T, [generator(1)])
    assert float(last.x_t.mean()) == pytest.approx(2.0, abs=0.03)
    assert float(last.x_t.std()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_item_draws_from_its_own_generator_alone(name: Any) -> None:
    def run(seeds: tuple[int, ...]) -> Tensor:
        scheduler = make_scheduler(BETAS, name, 5, CPU)
        x_T = noise((1, 4, 4), [generator(seed, "start") for seed in seeds])
        *_, last = sample(gaussian(scheduler, 0.0, 1.5), scheduler, x_T, [generator(seed) for seed in seeds])
        return last.x_t

    torch.testing.assert_close(run((7, 8, 9))[1], run((8,))[0], atol=1e-5, rtol=0)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(RecipeError, match="steps is 0; it must be from 1 to 1000"):
        SamplerSettings(steps=0)
    with pytest.raises(RecipeError, match="steps is 1001; it must be from 1 to 1000"):
        SamplerSettings(steps=1001)
    with pytest.raises(RecipeError, match="temperature is 1.5"):
        SamplerSettings(temperature=1.5)
    with pytest.raises(RecipeError, match="fidelity is -0.1"):
        SamplerSettings(fidelity=-0.1)
