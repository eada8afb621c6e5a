"""Picture to latent and back, for every autoencoder class of diffusers that a family may hold."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepface.errors import WeightsError


@dataclass(frozen=True)
class LatentScale:
    """Mean and standard deviation that bring raw latents to zero mean and unit variance, one value a channel.

    Families with one published scaling factor f have mean 0 and deviation 1/f in every channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def tensors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation shaped to broadcast over a `b c h w` latent."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=like.device, dtype=like.dtype).view(shape)
        return mean, torch.tensor(self.std, device=like.device, dtype=like.dtype).view(shape)


def encode(
    vae: nn.Module, scale: LatentScale, image: Float[Tensor, "b 3 h w"], noise: Float[Tensor, "b c h2 w2"] | None = None
) -> Float[Tensor, "b c h2 w2"]:
    """Encode pictures (RGB, 0..1) to scaled latents.

    A variational autoencoder gives its mean; with `noise` it gives a sample of its posterior. Deterministic
    autoencoders ignore `noise`.
    """
    output: Any = vae.encode(image * 2 - 1)  # type: ignore[operator]
    if hasattr(output, "latent_dist"):
        posterior = output.latent_dist
        raw = posterior.mean if noise is None else posterior.mean + posterior.std * noise
    elif hasattr(output, "latents"):
        raw = output.latents
    elif hasattr(output, "latent"):
        raw = output.latent
    else:
        raise WeightsError(f"{type(vae).__name__} returns {type(output).__name__}, which holds no latent")
    mean, std = scale.tensors(raw)
    return (raw - mean) / std


def decode(vae: nn.Module, scale: LatentScale, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h2 w2"]:
    """Decode scaled latents to pictures (RGB, clipped to 0..1)."""
    mean, std = scale.tensors(latent)
    picture: Tensor = vae.decode(latent * std + mean).sample  # type: ignore[operator]
    return (picture / 2 + 0.5).clamp(0, 1)


def measure_scale(latent: Float[Tensor, "n c h w"], scale: LatentScale) -> LatentScale:
    """Measure the scale of latents that `scale` brought nearly to zero mean and unit variance, and compose the two.

    Each channel has its own mean; the correction of the deviation is one for all, as published families have it, so
    that channels which the autoencoder made small stay small.
    """
    mean = latent.double().mean((0, 2, 3)).tolist()
    deviation = float((latent.double() - latent.double().mean((0, 2, 3), keepdim=True)).square().mean().sqrt())
    means = tuple(old + s * new for old, s, new in zip(scale.mean, scale.std, mean, strict=True))
    return LatentScale(means, tuple(s * deviation for s in scale.std))
