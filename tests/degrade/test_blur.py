import math

import numpy as np
import pytest
import torch

from keepface.degrade.blur import correlate, filter2d, gaussian_kernel


def moments(kernel: np.ndarray) -> np.ndarray:
    """Covariance of a kernel seen as a distribution over (x, y)."""
    reach = np.arange(len(kernel)) - (len(kernel) - 1) / 2
    x, y = np.meshgrid(reach, reach)
    return np.array(
        [[(kernel * x * x).sum(), (kernel * x * y).sum()], [(kernel * x * y).sum(), (kernel * y * y).sum()]]
    )


@pytest.mark.parametrize("theta", [0.0, 0.4, -1.2, math.pi / 2])
def test_a_kernels_covariance_is_the_turned_diagonal_of_its_sigmas(theta):
    turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
    wanted = turn @ np.diag([3.0**2, 1.5**2]) @ turn.T
    kernel = gaussian_kernel(41, 3.0, 1.5, theta)
    assert np.allclose(moments(kernel), wanted, atol=1e-3)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)


def test_a_round_kernel_does_not_depend_on_its_turn():
    assert np.allclose(gaussian_kernel(41, 4.0, 4.0, 0.0), gaussian_kernel(41, 4.0, 4.0, 1.0), atol=1e-7)


def test_a_point_becomes_the_kernel():
    image = torch.zeros(3, 61, 61)
    image[1, 30, 30] = 1
    kernel = gaussian_kernel(41, 5.0, 2.0, 0.7)
    blurred = filter2d(image, kernel)
    assert np.allclose(blurred[1, 10:51, 10:51].numpy(), kernel, atol=1e-6)
    assert blurred[0].abs().max() == 0


def test_a_constant_picture_stays_constant_up_to_its_border():
    image = torch.full((3, 16, 24), 0.3)
    assert torch.allclose(filter2d(image, gaussian_kernel(41, 9.0, 6.0, 0.2)), image, atol=1e-5)


def test_the_border_is_mirrored_without_repeating_the_edge():
    image = torch.zeros(3, 8, 8)
    image[:, :, 1] = 1
    kernel = np.zeros((3, 3), np.float32)
    kernel[1, 0] = 1  # each pixel takes its left neighbour
    assert torch.equal(filter2d(image, kernel)[:, :, 0], torch.ones(3, 8))


@pytest.mark.parametrize(("height", "width"), [(40, 56), (9, 3), (1, 12)])
def test_both_ways_to_correlate_agree_even_where_the_kernel_is_wider_than_the_picture(height, width):
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    kernel = gaussian_kernel(21, 4.0, 2.0, 0.5)
    assert torch.allclose(correlate(image, kernel), filter2d(image, kernel), atol=2e-6)
