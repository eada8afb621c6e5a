from pathlib import Path

import pytest
import torch

from keepface.errors import WeightsError
from keepface.identity.embed import IdentityFeatures
from keepface.methods.guided.beyond import finer_than, with_reference_detail
from keepface.methods.guided.files import WEIGHTS, load_network, save_network
from keepface.methods.guided.guided import Guided, used
from keepface.methods.guided.network import GuidedNetwork, PreparedReferences
from keepface.methods.method import OnePass, ReferenceSet

from .drawn import faces_of, reference


@pytest.fixture(scope="module")
def network() -> GuidedNetwork:
    """A network whose zero layers have been opened, as training would."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = GuidedNetwork()
        for parameter in made.parameters():
            if not parameter.detach().any():
                torch.nn.init.normal_(parameter, std=0.05)
    return made.eval().requires_grad_(False)


def test_without_references_whatever_stands_in_their_place_changes_nothing(network: GuidedNetwork) -> None:
    low = faces_of(1, 256)
    first = network(low, network.prepare(faces_of(2, 256, seed=3)), torch.zeros(1, 2))
    second = network(low, network.prepare(faces_of(1, 256, seed=4)), torch.zeros(1, 1))
    assert torch.allclose(first.picture, second.picture, atol=1e-4)
    assert float(first.copied.max()) == 0 and float(first.match.trust.max()) == 0


def test_a_reference_without_weight_is_as_if_it_were_not_there_and_order_is_free(network: GuidedNetwork) -> None:
    low, references = faces_of(1, 256), faces_of(3, 256, seed=5)
    prepared = network.prepare(references)
    two = network(low, network.prepare(references[:2]), torch.ones(1, 2)).picture
    assert torch.allclose(network(low, prepared, torch.tensor([[1.0, 1.0, 0.0]])).picture, two, atol=1e-4)
    turned = network.prepare(references[[1, 0]])
    assert torch.allclose(network(low, turned, torch.ones(1, 2)).picture, two, atol=1e-4)
    alone = network(low, network.prepare(references[:1]), torch.ones(1, 1)).picture
    assert not torch.allclose(alone, two, atol=1e-2)


def test_a_square_does_not_depend_on_its_neighbours_in_the_batch(network: GuidedNetwork) -> None:
    low, references = faces_of(2, 256), faces_of(4, 256, seed=6)
    both = network(low, network.prepare(references), torch.ones(2, 2)).picture
    alone = network(low[1:], network.prepare(references[2:]), torch.ones(1, 2)).picture
    assert torch.allclose(both[1:], alone, atol=1e-4)


def test_fading_a_photo_fades_its_result_and_nothing_else(network: GuidedNetwork) -> None:
    low, prepared = faces_of(1, 256), network.prepare(faces_of(2, 256, seed=7))
    plain = network(low, prepared, torch.ones(1, 2)).picture
    faded = network(0.4 * low + 0.3, prepared, torch.ones(1, 2)).picture
    assert torch.allclose(faded, 0.4 * plain + 0.3, atol=5e-3)


def test_the_three_parts_of_every_pixel_sum_to_one(network: GuidedNetwork) -> None:
    output = network(faces_of(1, 256), network.prepare(faces_of(1, 256, seed=8)), torch.ones(1, 1))
    assert output.detail is not None
    assert torch.allclose(output.detail.parts.sum(1), torch.ones(1, 256, 256), atol=1e-5)
    assert float(output.copied.min()) >= 0 and float(output.copied.max()) <= 1


def test_references_prepared_apart_are_those_prepared_together(network: GuidedNetwork) -> None:
    squares = faces_of(2, 256, seed=9)
    together, apart = (
        network.prepare(squares),
        PreparedReferences.join([network.prepare(item[None]) for item in squares]),
    )
    assert torch.allclose(together.squares, apart.squares) and torch.allclose(together.colour, apart.colour)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(together.core, apart.core, strict=True))


def test_weights_come_back_from_their_folder_and_others_are_refused(network: GuidedNetwork, tmp_path: Path) -> None:
    save_network(network, tmp_path / "weights")
    again = load_network(tmp_path / "weights")
    assert again.size == 256
    low, prepared = faces_of(1, 256), again.prepare(faces_of(1, 256, seed=2))
    before = network(low, network.prepare(faces_of(1, 256, seed=2)), torch.ones(1, 1)).picture
    assert torch.allclose(again(low, prepared, torch.ones(1, 1)).picture, before, atol=0.02)  # of half precision
    with pytest.raises(WeightsError, match=WEIGHTS):
        load_network(tmp_path)


def test_the_method_keeps_weights_fidelity_and_strength_apart(network: GuidedNetwork) -> None:
    method, low = Guided(network), faces_of(1, 256)
    both = ReferenceSet((reference(1), reference(2)), (1.0, 1.0))
    assert isinstance(method, OnePass)
    full, blind = method.restore_squares(low, [both])[0], method.restore_squares(low, [ReferenceSet()])[0]
    assert torch.equal(method.restore_squares(low, [both], fidelity=1.0)[0], low[0])
    half = method.restore_squares(low, [ReferenceSet(both.features, (0.5, 0.5))])[0]
    assert torch.allclose(half, (full + blind) / 2, atol=0.05)  # but for what each was cut at
    assert torch.equal(method.restore_squares(low, [ReferenceSet(both.features, (0.0, 0.0))])[0], blind)


def test_features_without_a_square_lead_nobody() -> None:
    bare = IdentityFeatures(torch.ones(1), torch.ones(1), reference(1).face, {})
    assert used(ReferenceSet((bare, reference(1)), (1.0, 0.5))).weights == (0.5,)


def test_what_was_taken_names_each_reference(network: GuidedNetwork) -> None:
    found = Guided(network).attribution(
        faces_of(1, 256)[0], ReferenceSet((reference(1), reference(2), reference(3)), (1.0, 0.0, 1.0))
    )
    assert sum(found.by_reference) == pytest.approx(1, abs=1e-3) and found.by_reference[1] == 0


def test_detail_beyond_the_square_is_only_what_the_square_cannot_hold() -> None:
    small = torch.rand(1, 64, 64)
    assert float(finer_than(small, 64).abs().max()) == 0
    stripes = torch.zeros(1, 64, 64)
    stripes[..., ::2] = 1  # a period of two pixels: lost at half the side
    assert float(finer_than(stripes, 32).std()) > 0.45
    smooth = torch.linspace(0, 1, 64).expand(1, 64, 64)
    assert float(finer_than(smooth, 32)[..., 4:-4].abs().max()) < 0.02


def test_references_no_larger_than_the_square_only_enlarge_it(network: GuidedNetwork) -> None:
    output = network(faces_of(1, 256), network.prepare(faces_of(1, 256, seed=2)), torch.ones(1, 1))
    made = with_reference_detail(output, [faces_of(1, 256, seed=2)[0]], 384)
    wanted = torch.nn.functional.interpolate(
        output.picture.clamp(0, 1), (384, 384), mode="bicubic", align_corners=False, antialias=True
    )
    assert torch.allclose(made, wanted[0].clamp(0, 1), atol=1e-5)
