import math

import numpy as np
import pytest

from keepface.degrade.blur import gaussian_kernel
from keepface.degrade.kernels import generalised_kernel, motion_kernel, plateau_kernel, sinc_kernel

KERNELS = {
    "generalised": generalised_kernel(21, 2.0, 1.1, 0.6, 0.7),
    "generalised, flat": generalised_kernel(9, 1.5, 1.5, 0.0, 2.0),
    "plateau": plateau_kernel(21, 2.0, 1.1, -0.6, 1.3),
    "sinc": sinc_kernel(21, 1.1),
    "short sinc": sinc_kernel(7, 2.9),
    "motion": motion_kernel(11.3, 0.9),
    "short motion": motion_kernel(0.6, 0.9),
}


def response(kernel: np.ndarray, x: float, y: float) -> float:
    """What a wave of (x, y) radians per pixel is multiplied by."""
    reach = np.arange(len(kernel)) - len(kernel) // 2
    return float((kernel * np.cos(x * reach[None, :] + y * reach[:, None])).sum())


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_keeps_brightness_and_is_the_same_from_both_sides(name):
    kernel = KERNELS[name]
    assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
    assert kernel.dtype == np.float32
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-7)


def test_a_generalised_gaussian_of_shape_one_is_the_gaussian():
    assert np.allclose(generalised_kernel(15, 2.0, 1.2, 0.3, 1.0), gaussian_kernel(15, 2.0, 1.2, 0.3), atol=1e-7)


@pytest.mark.parametrize("beta", [0.6, 1.0, 1.4])
def test_profiles_along_the_axes_are_the_written_formulas(beta):
    generalised, plateau = (make(21, 3.0, 1.5, 0.0, beta) for make in (generalised_kernel, plateau_kernel))
    along, across = np.arange(11) / 3.0, np.arange(11) / 1.5
    for distance, rows in ((along, (10, slice(10, 21))), (across, (slice(10, 21), 10))):
        assert np.allclose(generalised[rows] / generalised[10, 10], np.exp(-(distance ** (2 * beta)) / 2), rtol=1e-5)
        assert np.allclose(plateau[rows] / plateau[10, 10], 1 / (1 + distance ** (2 * beta)), rtol=1e-5)


@pytest.mark.parametrize("cutoff", [math.pi / 5, 1.3, math.pi])
def test_sinc_values_are_the_transform_of_a_disc(cutoff):
    kernel = sinc_kernel(13, cutoff)
    angle = (np.arange(4000) + 0.5) * math.pi / 4000
    for y, x in ((6, 8), (3, 6), (0, 1)):
        radius = math.hypot(x - 6, y - 6)
        j1 = np.cos(angle - cutoff * radius * np.sin(angle)).mean()  # Bessel's integral
        wanted = cutoff * j1 / (2 * math.pi * radius) / (cutoff**2 / (4 * math.pi))
        assert kernel[y, x] / kernel[6, 6] == pytest.approx(wanted, abs=1e-5)


def test_a_long_sinc_keeps_waves_below_its_cutoff_and_stops_those_above():
    kernel = sinc_kernel(201, 1.0)
    for theta in (0.0, 0.5, math.pi / 4):
        assert response(kernel, 0.6 * math.cos(theta), 0.6 * math.sin(theta)) == pytest.approx(1, abs=0.03)
        assert response(kernel, 1.5 * math.cos(theta), 1.5 * math.sin(theta)) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(("length", "theta"), [(5.0, 0.0), (12.5, 0.7), (25.0, math.pi / 2), (20.0, 4.0)])
def test_a_motion_spreads_light_evenly_along_its_path_and_not_beside_it(length, theta):
    kernel = motion_kernel(length, theta)
    reach = np.arange(len(kernel)) - len(kernel) // 2
    x, y = np.meshgrid(reach, reach)
    along, across = x * math.cos(theta) + y * math.sin(theta), y * math.cos(theta) - x * math.sin(theta)
    assert (kernel * along**2).sum() == pytest.approx(length**2 / 12, abs=0.3)  # a path's, and up to 1/4 of sharing
    assert (kernel * across**2).sum() < 0.3


def test_a_motion_across_pixels_is_a_row_of_equal_shares():
    kernel = motion_kernel(5.0, 0.0)
    middle = kernel[len(kernel) // 2]
    assert middle.sum() == pytest.approx(1, abs=1e-6)
    assert np.allclose(middle[2:-2], 0.2, atol=1e-6)
