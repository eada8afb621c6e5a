from pathlib import Path

import pytest
import torch

from keepface.data.likeness import NOBODY, PersonJudge
from keepface.data.prepare import Pack, prepare
from keepface.data.shards import Entry, read_shards
from keepface.faces.detect import Detector
from keepface.identity.recogniser import CONDITIONING, JUDGE, RECOGNISERS
from keepface.image.files import from_uint8

FACES = Path(__file__).resolve().parents[2].parent / "shared" / "faces"
PHOTOS = 8


class First:
    """The first photos of a shard."""

    def __init__(self, entries: list[Entry]) -> None:
        self.given = entries

    def __len__(self) -> int:
        return len(self.given)

    def entries(self):
        return iter(self.given)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    if not list(FACES.glob("val-london*.parquet")):
        pytest.skip("there is no val-london*.parquet in shared/faces beside the repository")
    pytest.importorskip("pyarrow")
    entries = read_shards(FACES, "val-london").entries()
    return prepare(First([next(entries) for _ in range(PHOTOS)]), tmp_path_factory.mktemp("packs") / "real", 128)


@pytest.fixture(scope="module")
def judge(pack: Pack) -> PersonJudge:
    return PersonJudge(pack, RECOGNISERS[JUDGE](), Detector())


def test_the_judge_does_not_lead_the_model():
    assert JUDGE != CONDITIONING


@pytest.mark.shared
def test_a_photo_is_most_like_itself_more_like_its_person_than_like_others(pack, judge):
    squares = [from_uint8(pack.square(index)) for index in range(PHOTOS)]
    mates = [index for index in range(1, PHOTOS) if pack.identities[index] == pack.identities[0]]
    others = [index for index in range(PHOTOS) if pack.identities[index] != pack.identities[0]]
    assert mates and others
    to_first = [judge(square, 0).sameness for square in squares]
    assert to_first[0] > 0.9
    assert to_first[0] > min(to_first[index] for index in mates) > 0.5 > max(to_first[index] for index in others)


@pytest.mark.shared
def test_the_points_are_those_of_the_face_that_was_found(pack, judge):
    found = judge(from_uint8(pack.square(0)), 0)
    assert abs(found.landmarks - pack.points(0)).mean() < 0.03 * pack.size


@pytest.mark.shared
def test_a_picture_without_a_face_is_like_nobody(pack, judge):
    assert judge(torch.full((3, 128, 128), 0.5), 0).sameness == NOBODY
