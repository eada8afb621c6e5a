import pytest
import torch

from keepface.methods.guided.guided_core import share_of
from keepface.methods.guided.layers import PyramidEncoder, ReferenceAttention, grouped, position_code, warp


def test_a_flow_of_zero_changes_nothing_and_one_of_a_pixel_shifts_by_a_pixel() -> None:
    picture = torch.rand(2, 3, 8, 8)
    assert torch.allclose(warp(picture, torch.zeros(2, 2, 8, 8)), picture, atol=1e-6)
    one_pixel = torch.zeros(2, 2, 8, 8)
    one_pixel[:, 0] = 2 / 8  # x, in half sides
    moved = warp(picture, one_pixel)
    assert torch.allclose(moved[..., :-1], picture[..., 1:], atol=1e-5)


def test_a_mirroring_flow_mirrors() -> None:
    picture = torch.rand(1, 1, 4, 4)
    x = (torch.arange(4) + 0.5) * 2 / 4 - 1
    flow = torch.stack([(-2 * x).expand(4, 4), torch.zeros(4, 4)])[None]
    assert torch.allclose(warp(picture, flow), picture.flip(-1), atol=1e-5)


def test_shares_sum_to_one_over_weighted_references_and_follow_their_weights() -> None:
    logits = torch.randn(2, 3, 1, 4, 4)
    share = share_of(logits, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert torch.allclose(share[0].sum(0), torch.ones(1, 4, 4)) and float(share[0, 2].abs().max()) == 0
    assert float(share[1].abs().max()) == 0
    even = share_of(torch.zeros(1, 2, 1, 1, 1), torch.tensor([[1.0, 0.25]]))
    assert even.flatten().tolist() == pytest.approx([0.8, 0.2])


def test_a_pyramid_halves_the_side_at_each_level() -> None:
    features = PyramidEncoder((8, 12, 16), blocks=1)(torch.rand(1, 3, 64, 64))
    assert [tuple(level.shape[1:]) for level in features] == [(8, 16, 16), (12, 8, 8), (16, 4, 4)]


def test_places_have_codes_of_their_own() -> None:
    code = position_code(4, 6, 32, torch.device("cpu"))
    assert code.shape == (24, 32) and float(torch.pdist(code).min()) > 0.1


def test_attention_does_not_see_absent_references_nor_their_order() -> None:
    torch.manual_seed(0)
    attention = ReferenceAttention(16, 8)
    torch.nn.init.normal_(attention.out.weight)
    x, references = torch.rand(1, 16, 2, 2), torch.rand(1, 3, 8, 2, 2)
    present = torch.tensor([[True, True, False]])
    seen = attention(x, references, present)
    other = references.clone()
    other[:, 2] = 7
    assert torch.equal(attention(x, other, present), seen)
    turned = attention(x, references[:, [1, 0, 2]], present)
    assert torch.allclose(turned, seen, atol=1e-5)
    assert not torch.allclose(attention(x, references, present & False), seen, atol=1e-3)


def test_grouping_takes_items_in_order() -> None:
    assert grouped(torch.arange(6), 2).tolist() == [[0, 1], [2, 3], [4, 5]]
