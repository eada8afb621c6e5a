import pytest
import torch

from keepface.train.guided.adversary import Adversary, seems_real, told_apart
from keepface.train.guided.losses import coarse_difference, landmark_loss, second_differences

POINTS = torch.tensor([[[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.4, 0.8], [0.6, 0.8]]])
LED = torch.tensor([[True]])


def test_a_flow_that_leads_to_the_references_points_costs_nothing() -> None:
    shift = torch.tensor([0.05, -0.1])  # shares of the side
    flow = (2 * shift)[None, None, :, None, None].expand(1, 1, 2, 8, 8)
    moved = (POINTS + shift)[:, None]
    assert float(landmark_loss(flow, POINTS, moved, LED)) == pytest.approx(0, abs=1e-6)
    assert float(landmark_loss(torch.zeros(1, 1, 2, 8, 8), POINTS, moved, LED)) == pytest.approx(0.15, rel=1e-5)
    assert float(landmark_loss(flow, POINTS, POINTS[:, None], LED & False)) == 0


def test_detail_that_averages_out_is_no_coarse_difference() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    stripes = picture.clone()
    stripes[..., ::2], stripes[..., 1::2] = 0.5, -0.5
    assert float(coarse_difference(stripes, picture)) == pytest.approx(0, abs=1e-7)
    assert float(coarse_difference(picture + 0.25, picture)) == pytest.approx(0.25)


def test_an_affine_flow_has_no_second_differences() -> None:
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    affine = torch.stack([0.1 * x + 0.2 * y, 0.3 - 0.1 * x])[None, None]
    assert float(second_differences(affine)) == pytest.approx(0, abs=1e-6)
    assert float(second_differences(torch.stack([x**2, 0 * x])[None, None])) == pytest.approx(1)  # 2 in one of two


def test_the_hinge_is_zero_where_real_and_made_are_far_apart() -> None:
    real, made = [torch.full((1, 1, 2, 2), 1.5)], [torch.full((1, 1, 2, 2), -1.0)]
    assert float(told_apart(real, made)) == 0
    assert float(told_apart(made, real)) == pytest.approx(2.0 + 2.5)
    assert float(seems_real(made)) == 1.0


def test_the_adversarys_convolutions_are_bounded_by_their_spectral_norm() -> None:
    adversary = Adversary((8, 16, 16))
    for _ in range(30):  # the norm is found step by step
        adversary([torch.rand(1, count, 16, 16) for count in (8, 16, 16)], torch.rand(1, 3, 64, 64))
    adversary.eval()
    for head in (*adversary.heads, adversary.pixels):
        largest = torch.linalg.matrix_norm(head[0].weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, rel=0.05)
