"""The second judge tells people apart, by the published pipeline and limit."""

import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch

from keepface.errors import MissingExtraError
from keepface.faces.align import align_ffhq
from keepface.faces.detect import Detector
from keepface.faces.face import Face, largest
from keepface.identity.embed import square_face
from keepface.identity.second_judge import SAME_PERSON_BELOW, Describer, SecondJudge
from keepface.image.files import read_photo
from keepface.weights.cards import cards

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FACES = Path(__file__).resolve().parents[3] / "shared" / "faces"


@pytest.fixture(scope="module")
def judge() -> SecondJudge:
    pytest.importorskip("dlib", reason="the extra judges is not installed")
    return SecondJudge()


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def square(name: str, detector: Detector) -> torch.Tensor:
    photo = read_photo(EXAMPLES / name).pixels
    return align_ffhq(photo, largest(detector.detect(photo)).points, 256).crop


def described(image: torch.Tensor, judge: SecondJudge, detector: Detector) -> torch.Tensor:
    return judge.describe(image, square_face(image, detector).face)


def test_three_photos_of_one_person_are_nearer_than_the_published_limit(judge: SecondJudge, detector: Detector) -> None:
    assert isinstance(judge, Describer)
    squares = [square(name, detector) for name in ("clean.jpg", "reference-1.jpg", "reference-2.jpg")]
    vectors = [described(image, judge, detector) for image in squares]
    assert all(vector.shape == (SecondJudge.dim,) for vector in vectors)
    assert all(float((a - b).norm()) < SAME_PERSON_BELOW for a, b in combinations(vectors, 2))


def test_only_what_is_around_the_box_counts(judge: SecondJudge, detector: Detector) -> None:
    image = square("clean.jpg", detector)
    face = square_face(image, detector).face
    framed = torch.zeros(3, 400, 500)
    framed[:, 100:356, 200:456] = image
    left, top, right, bottom = face.box
    moved = Face((left + 200, top + 100, right + 200, bottom + 100), face.points + [200, 100], face.score)
    there = judge.describe(framed, moved)
    framed[:, :60], framed[:, :, :120] = 1.0, 1.0
    assert torch.equal(judge.describe(framed, moved), there)
    assert float((there - judge.describe(image, face)).norm()) < 0.2


@pytest.mark.shared
@pytest.mark.skipif(not FACES.is_dir(), reason="the face data is not beside the repository")
def test_people_are_told_apart_at_the_published_limit(judge: SecondJudge, detector: Detector) -> None:
    pytest.importorskip("pyarrow")
    from keepface.bench.photos import open_photos
    from keepface.bench.plan import plan

    photos = open_photos(FACES)
    people = [target for target in plan(photos.identities, photos.native_px) if target.person.startswith("lfw")][:8]
    pairs = [
        [described(photos.square(photo, 128), judge, detector) for photo in (one.photo, one.others[0])]
        for one in people
    ]
    same = torch.stack([(a - b).norm() for a, b in pairs])
    other = torch.stack([(a[0] - b[1]).norm() for a, b in combinations(pairs, 2)])
    assert float(same.mean()) < 0.5 < 0.7 < float(other.mean())
    assert float((same < SAME_PERSON_BELOW).float().mean()) >= 7 / 8
    assert float((other < SAME_PERSON_BELOW).float().mean()) <= 1 / 8


def test_without_dlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'keepface\[judges\]'"):
        SecondJudge()


def test_the_68_point_file_whose_terms_forbid_commerce_is_on_no_card() -> None:
    assert not [name for name, one in cards().items() if "68" in one.file]
