"""A Stable Diffusion's folder in diffusers' layout: what of it becomes part of a family."""

import json
from pathlib import Path
from typing import Any

from diffusers import DDPMScheduler

from keepface.diffusion.latents import LatentScale
from keepface.errors import WeightsError

CONFIGS = {"scheduler": "scheduler_config.json"}  # others are called config.json


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config of one part of a pipeline.

    Raises:
        WeightsError: it is missing or damaged.
    """
    path = folder / CONFIGS.get(folder.name, "config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"holds a {type(config).__name__}, not an object")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path}: is no part's config: {reason}; fetch the base's folder again") from None
    return {key: value for key, value in config.items() if not key.startswith("_")}


def published_scheduler(config: dict[str, Any], prediction: str) -> DDPMScheduler:
    """Make the schedule of a pipeline's scheduler/, whose sampled times reach from the last step to the first.

    Predictions are never clipped, which diffusers' DDPM would do by default and which destroys latents.
    """
    known = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    kept = {key: config[key] for key in known if config.get(key) is not None}
    return DDPMScheduler(**kept, prediction_type=prediction, clip_sample=False, timestep_spacing="linspace")


def latent_scale(vae: dict[str, Any]) -> LatentScale:
    """Return the scale of an autoencoder with one published factor, 0.18215 where its config has none."""
    channels = int(vae.get("latent_channels", 4))
    return LatentScale((0.0,) * channels, (1 / float(vae.get("scaling_factor", 0.18215)),) * channels)
