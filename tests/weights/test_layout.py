import pytest
import torch
from torch import nn

from keepface.errors import WeightsError
from keepface.weights.layout import Layout, check_layout, misfit, take


def published() -> dict[str, torch.Tensor]:
    return {"net.out.weight": torch.ones(2, 3), "net.out.bias": torch.zeros(2), "ema.decay": torch.zeros(1)}


LAYOUT = Layout("a linear map", {"weight": (2, 3), "bias": (2,)}, renamed=[("net.out.", "")], ignored=["ema."])


def test_names_are_changed_what_is_not_used_is_left_out_and_the_rest_is_kept() -> None:
    taken = take(published(), LAYOUT, "file")
    assert set(taken) == {"weight", "bias"} and torch.equal(taken["weight"], torch.ones(2, 3))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop("net.out.bias"), "file: these weights are not for a linear map: 1 missing: bias"),
        (lambda tensors: tensors.update({"net.in": torch.ones(1)}), "1 unknown: net.in"),
        (lambda tensors: tensors.update({"net.out.bias": torch.ones(3)}), r"bias \(3,\) instead of \(2,\)"),
        (lambda tensors: tensors.update({"bias": torch.ones(2)}), "two of its tensors are bias"),
    ],
)
def test_a_missing_unknown_misshapen_or_doubled_tensor_is_named(change: object, reason: str) -> None:
    tensors = published()
    change(tensors)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=reason):
        take(tensors, LAYOUT, "file")


def test_a_modules_layout_needs_no_memory_and_counts_its_values() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4000, 1000), nn.LayerNorm(1000))
    layout = Layout.of(module, prefix="net.")
    assert layout.size == 4000 * 1000 + 1000 + 2 * 1000 and layout.shapes["net.1.bias"] == (1000,)
    check_layout({f"net.{name}": tensor for name, tensor in module.state_dict().items()}, layout, "file")


def test_only_the_first_five_of_each_kind_are_listed() -> None:
    text = misfit({}, {f"layer{number}": (1,) for number in range(7)})
    assert text == "7 missing: layer0, layer1, layer2, layer3, layer4, …"
