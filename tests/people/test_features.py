import dataclasses

import pytest
import torch

from keepface.errors import KeepfaceError
from keepface.faces.align import align_ffhq
from keepface.identity.embed import IdentityFeatures
from keepface.image.files import read_photo
from keepface.people.features import Networks, from_bytes, strangers, to_bytes

from .conftest import EXAMPLES, made_up_features


def features_of(*vector: float) -> IdentityFeatures:
    plain = made_up_features(0).features
    return dataclasses.replace(
        plain, recogniser=torch.nn.functional.normalize(torch.tensor(vector, dtype=torch.float32), dim=0)
    )


def test_real_features_come_back_bit_for_bit_and_know_their_networks(networks: Networks) -> None:
    made = networks.embed(read_photo(EXAMPLES / "reference-1.jpg"))
    back = from_bytes(to_bytes(made))
    pairs = zip(made.features.vectors, back.features.vectors, strict=True)
    assert all(torch.equal(one, other) for one, other in pairs) and torch.equal(made.judged, back.judged)
    assert back.features.face.box == made.features.face.box and back.features.face.score == made.features.face.score
    assert (back.features.face.points == made.features.face.points).all()
    assert back.features.provenance == made.features.provenance
    assert made.features.square is not None and back.features.square is not None
    assert torch.equal(back.features.square, made.features.square)
    assert networks.made(back)


def test_the_square_that_is_kept_is_the_upright_face_of_the_photo_itself(networks: Networks) -> None:
    photo = read_photo(EXAMPLES / "reference-1.jpg")
    made = networks.embed(photo).features
    assert made.square is not None and made.square.dtype == torch.uint8
    side = made.square.shape[-1]
    upright = align_ffhq(photo.pixels, made.face.points, side).crop
    assert made.square.shape == (3, side, side) and 256 <= side <= 768
    torch.testing.assert_close(made.square / 255, upright, atol=0.51 / 255, rtol=0)


def test_features_without_a_square_come_back_without() -> None:
    assert from_bytes(to_bytes(made_up_features(0))).features.square is None


def test_features_of_other_networks_are_seen_as_such(networks: Networks) -> None:
    made = networks.embed(read_photo(EXAMPLES / "reference-1.jpg"))
    older = dataclasses.replace(made.features, provenance={**made.features.provenance, "recogniser_sha256": "1" * 64})
    assert not networks.made(dataclasses.replace(made, features=older))
    assert not networks.made(dataclasses.replace(made, judge="another"))


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_damaged_features_are_told(cut: int) -> None:
    with pytest.raises(KeepfaceError, match="must be made again"):
        from_bytes(to_bytes(made_up_features(0))[:cut])


def test_who_is_like_the_known_person_directly_or_through_others_is_no_stranger() -> None:
    known, near, further, away = (
        features_of(1, 0, 0),
        features_of(1, 1, 0),
        features_of(0.2, 1, 0),
        features_of(0, 0, 1),
    )
    assert strangers([known], [near, further, away]) == (2,)
    assert strangers([known], [further, away]) == (0, 1)  # cosine 0.196: below the floor, and nobody between
    assert strangers([known], []) == ()


def test_the_known_person_outweighs_any_number_of_others() -> None:
    assert strangers([features_of(1, 0)], [features_of(0, 1)] * 5) == (0, 1, 2, 3, 4)
