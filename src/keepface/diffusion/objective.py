"""What a diffusion network is trained on: a noised latent, what it shall predict of it, and the error of that."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from keepface.diffusion.family import Family

PictureLoss = Callable[[Tensor, Any], Tensor]  # (predicted x_0, batch) -> loss; what a phase may be asked for besides


def noised(
    family: Family, clean: Float[Tensor, "b 3 s s"], eps: Float[Tensor, "b c h w"], t: Int[Tensor, "b"]
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """Return x_t of clean squares (RGB, 0..1) and what the family's network predicts of it: eps, or v."""
    scheduler = family.scheduler
    with torch.no_grad():
        x_0 = family.encode(clean)
    eps, t = eps.to(x_0), t.to(x_0.device)
    x_t: Tensor = scheduler.add_noise(x_0, eps, t)
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    return x_t, scheduler.get_velocity(x_0, eps, t) if is_velocity else eps


def denoising_loss(prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the mean squared error of the prediction, over everything.

    [FaceMe, Eq. 4; RIDFR, Eq. 2; RIDFR, Eq. 5]
    """
    return functional.mse_loss(prediction.float(), target.float())


def predicted_clean(
    family: Family, x_t: Float[Tensor, "b c h w"], prediction: Float[Tensor, "b c h w"], t: Int[Tensor, "b"]
) -> Float[Tensor, "b c h w"]:
    """Return the x_0 that a prediction (eps, or v) amounts to."""
    scheduler = family.scheduler
    alpha_bar = scheduler.alphas_cumprod.to(x_t.device)[t].to(x_t)[:, None, None, None]
    if scheduler.config.prediction_type == "v_prediction":
        return alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * prediction
    return (x_t - (1 - alpha_bar).sqrt() * prediction) / alpha_bar.sqrt()
