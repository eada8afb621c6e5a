import pytest
import torch

from keepface.diffusion.guidance import guide


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 3.0), (1.0, 5.0), (2.5, 8.0), (-1.0, 1.0)])
def test_guidance_moves_along_the_line_through_both_predictions(scale: float, expected: float) -> None:
    without, given = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 5.0)
    assert torch.equal(guide(without, given, scale), torch.full((1, 1, 2, 2), expected))
