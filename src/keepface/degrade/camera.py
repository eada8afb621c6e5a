"""Noise as a camera's sensor makes it: back to raw light, noise there, and developed again.

Brooks et al., CVPR 2019, "Unprocessing Images for Learned Raw Denoising"  [Unprocessing]

The paper's camera model is SCUNet's, whose values were never published; this is the published one nearest to it, and it
stands in for it.  # ours
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# XYZ to the colours of four cameras [Unprocessing], and linear sRGB to XYZ [IEC 61966-2-1]
CAMERAS = np.array(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
    ]
)
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
GAMMA = 2.2
DARKEST = 1e-8  # keeps powers of nothing away
NEAR_WHITE = 0.9  # above this mean a pixel is taken as burnt out, and keeps its white
GREEN_WEIGHTS = ((0.0, 1.0, 0.0), (1.0, 4.0, 1.0), (0.0, 1.0, 0.0))
OTHER_WEIGHTS = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (1.0, 2.0, 1.0))

Picture = Float[Tensor, "3 h w"]


@dataclass(frozen=True)
class Camera:
    """A camera's colours, its exposure and white balance, and how noisy its sensor is. [Unprocessing]"""

    mix: tuple[float, float, float, float]  # shares of the four `CAMERAS`; their sum is made one
    brightness: float  # gain of all colours
    red: float  # gain of red over green
    blue: float  # gain of blue over green
    shot: float  # variance of the light at white, of 0..1
    read: float  # variance in the dark


def camera_noise(image: Picture, camera: Camera, seed: int) -> Picture:
    """Unprocess, take the mosaic, add the sensor's noise, develop; the result is within 0..1. [Unprocessing]

    Without noise the picture comes back as the interpolated mosaic leaves it, its colours as they were.
    """
    sites = bayer(image)
    light = unprocess(image, camera)
    noisy = sensor_noise(light, camera.shot, camera.read, seed)
    balanced = (noisy * _gains(camera, image)).clamp(0, 1)
    return develop(demosaic(balanced * sites, sites), camera)


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera from the published ranges. [Unprocessing]"""
    mix = rng.uniform(0, 1, 4)
    log_shot = rng.uniform(math.log(1e-4), math.log(0.012))
    log_read = 2.18 * log_shot + 1.20 + rng.normal(0, 0.26)
    first, second, third, fourth = (float(share) for share in mix / mix.sum())
    return Camera(
        mix=(first, second, third, fourth),
        brightness=1 / max(0.1, rng.normal(0.8, 0.1)),
        red=rng.uniform(1.9, 2.4),
        blue=rng.uniform(1.5, 1.9),
        shot=math.exp(log_shot),
        read=math.exp(log_read),
    )


def unprocess(image: Picture, camera: Camera) -> Picture:
    """Turn a picture into the light that the camera's three kinds of cells saw, 0..1. [Unprocessing]"""
    smooth = 0.5 - torch.sin(torch.asin(1 - 2 * image.clamp(0, 1)) / 3)  # the tone curve 3 x^2 - 2 x^3, back
    linear = _mixed(smooth.clamp(min=DARKEST) ** GAMMA, _to_camera(camera))
    gains = 1 / _gains(camera, image)
    burnt = ((linear.mean(0, keepdim=True) - NEAR_WHITE).clamp(min=0) / (1 - NEAR_WHITE)) ** 2
    return (linear * torch.maximum(burnt + (1 - burnt) * gains, gains)).clamp(0, 1)


def develop(balanced: Picture, camera: Camera) -> Picture:
    """Turn a camera's white-balanced colours into a picture: to sRGB, gamma, tone curve. [Unprocessing]"""
    linear = _mixed(balanced, np.linalg.inv(_to_camera(camera))).clamp(0, 1)
    encoded = linear.clamp(min=DARKEST) ** (1 / GAMMA)
    return (3 * encoded**2 - 2 * encoded**3).clamp(0, 1)


def sensor_noise(light: Picture, shot: float, read: float, seed: int) -> Picture:
    """Add Gaussian noise whose variance at x is shot x + read. [Unprocessing]"""
    field = np.random.default_rng(seed).standard_normal(tuple(light.shape), dtype=np.float32)
    return light + torch.from_numpy(field).to(light.device) * (shot * light + read).sqrt()


def bayer(image: Picture) -> Picture:
    """Return 1 where a sensor has a cell of that colour, else 0: rows of red, green, then green, blue."""
    sites = torch.zeros_like(image)
    sites[0, 0::2, 0::2] = 1
    sites[1, 0::2, 1::2] = 1
    sites[1, 1::2, 0::2] = 1
    sites[2, 1::2, 1::2] = 1
    return sites


def demosaic(raw: Picture, sites: Picture) -> Picture:
    """Fill each colour's gaps with the mean of its nearest cells: bilinear. [Unprocessing]"""
    weights = torch.tensor([OTHER_WEIGHTS, GREEN_WEIGHTS, OTHER_WEIGHTS]).to(raw)[:, None]
    summed, counted = (functional.conv2d(field[None], weights, padding=1, groups=3)[0] for field in (raw, sites))
    return summed / counted.clamp(min=1)


def _to_camera(camera: Camera) -> Float[np.ndarray, "3 3"]:
    """Mix the four cameras' matrices and make each row's sum one, so that white stays white."""
    mix = np.array(camera.mix)
    matrix: np.ndarray = np.tensordot(mix / mix.sum(), CAMERAS, 1) @ XYZ
    return matrix / matrix.sum(1, keepdims=True)


def _gains(camera: Camera, image: Picture) -> Float[Tensor, "3 1 1"]:
    gains = image.new_tensor([camera.red, 1.0, camera.blue]) * camera.brightness
    return gains[:, None, None]


def _mixed(image: Picture, matrix: Float[np.ndarray, "3 3"]) -> Picture:
    return (image.new_tensor(matrix) @ image.flatten(1)).reshape(image.shape)
