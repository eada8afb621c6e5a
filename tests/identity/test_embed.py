import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from keepface.errors import KeepfaceError, ReferencePhotoError
from keepface.faces.align import align_arcface, template_face
from keepface.faces.detect import Detector
from keepface.faces.face import Face
from keepface.identity.arcface import FILES
from keepface.identity.compare import cosine
from keepface.identity.embed import (
    SAME_PERSON,
    FeatureCache,
    IdentityEmbedder,
    IdentityFeatures,
    outliers,
    reference_face,
    square_face,
)
from keepface.identity.image_encoder import POOLED_DIM, ImageEncoder
from keepface.identity.recogniser import RECOGNISERS, SFace
from keepface.image.files import Photo


class Seen:
    """A finder that sees the faces it was made with, and counts how often it looked."""

    def __init__(self, *faces: Face) -> None:
        self.faces, self.looks = list(faces), 0

    def detect(self, image: torch.Tensor) -> list[Face]:
        self.looks += 1
        return self.faces


@pytest.fixture(scope="module")
def networks() -> tuple[SFace, ImageEncoder]:
    return SFace(), ImageEncoder.load()


def picture(size: int = 96, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(coarse, size=(size, size), mode="bilinear")[0]


def face_of_width(width: float, left: float = 0.0) -> Face:
    return Face((left, 0.0, left + width, width), np.zeros((5, 2)), 0.9)


def moved(face: Face, pixels: float) -> Face:
    return Face(face.box, face.points + pixels, face.score)


def features_of(*vector: float, recogniser: str = "sface") -> IdentityFeatures:
    unit = functional.normalize(torch.tensor(vector), dim=0)
    return IdentityFeatures(unit, torch.zeros(4), template_face(64), {"recogniser": recogniser})


# one face of a reference


def test_a_reference_is_about_its_largest_face() -> None:
    assert reference_face([face_of_width(30.0), face_of_width(100.0), face_of_width(20.0)], "a.jpg").width == 100


def test_a_reference_without_a_face_is_refused_by_name() -> None:
    with pytest.raises(ReferencePhotoError, match="anna.jpg: no face was found"):
        reference_face([], "anna.jpg")


def test_a_reference_with_two_faces_of_similar_size_is_refused_with_their_sizes() -> None:
    with pytest.raises(ReferencePhotoError, match=r"two.jpg: .*\(100 and 80 px wide\).*crop it"):
        reference_face([face_of_width(80.0), face_of_width(100.0)], "two.jpg")


# the face of an aligned square


def test_the_face_of_a_square_is_the_one_nearest_to_the_template_not_the_largest() -> None:
    template = template_face(96)
    near, far = moved(template, 2.0), moved(template, 40.0)
    found = square_face(picture(), Seen(far, moved(template, 5.0), near))
    assert found.face is near and found.is_detected


def test_a_square_with_no_face_in_place_is_given_the_template_and_says_so() -> None:
    for finder in (Seen(), Seen(moved(template_face(96), 40.0))):
        found = square_face(picture(), finder)
        assert not found.is_detected
        assert np.array_equal(found.face.points, template_face(96).points)


def test_a_supposed_face_can_be_given() -> None:
    known = moved(template_face(96), 3.0)
    assert square_face(picture(), Seen(), otherwise=known).face is known


# embedding


def test_features_hold_both_vectors_the_face_and_where_they_come_from(networks: tuple[SFace, ImageEncoder]) -> None:
    face = template_face(96)
    features = IdentityEmbedder(Seen(face), *networks).embed(Photo(picture()))
    assert features.recogniser.shape == (128,) and features.image.shape == (POOLED_DIM,)
    assert float(features.recogniser.norm()) == pytest.approx(1, abs=1e-5)
    assert features.face is face
    assert features.tokens is not None and features.tokens.shape == (49, POOLED_DIM)
    upright = align_arcface(picture(), face.points, 224)
    with torch.no_grad():
        assert torch.allclose(features.tokens, networks[1].tokens(upright[None])[0], atol=1e-3)
    told = {name: features.provenance[name] for name in ("recogniser", "encoder", "channels", "face")}
    assert told == {"recogniser": "sface", "encoder": "efficientnet-lite0", "channels": "rgb", "face": "detected"}
    assert len(features.provenance["recogniser_sha256"]) == 64


def test_a_square_without_a_face_is_embedded_at_the_template(networks: tuple[SFace, ImageEncoder]) -> None:
    blind = IdentityEmbedder(Seen(), *networks).embed_square(picture())
    seeing = IdentityEmbedder(Seen(template_face(96)), *networks).embed_square(picture())
    assert torch.equal(blind.recogniser, seeing.recogniser) and torch.equal(blind.image, seeing.image)
    assert (blind.provenance["face"], seeing.provenance["face"]) == ("template", "detected")


def test_the_switched_channels_are_told(networks: tuple[SFace, ImageEncoder]) -> None:
    embedder = IdentityEmbedder(Seen(), SFace(swap_channels=True), networks[1])
    assert embedder.embed_square(picture()).provenance["channels"] == "bgr"


# the cache


def test_kept_features_come_back_as_they_were_and_no_network_runs_again(
    networks: tuple[SFace, ImageEncoder], tmp_path: Path
) -> None:
    finder = Seen(moved(template_face(96), 1.25))
    embedder = IdentityEmbedder(finder, *networks, cache=FeatureCache(tmp_path / "features"))
    first, second = embedder.embed(Photo(picture())), embedder.embed(Photo(picture(), source="a copy.png"))
    assert finder.looks == 1
    for one, other in zip(first.vectors, second.vectors, strict=True):
        assert torch.equal(one, other)
    assert len(first.vectors) == 3
    assert first.square is not None and second.square is not None
    assert first.square.dtype == second.square.dtype == torch.uint8 and torch.equal(first.square, second.square)
    assert np.array_equal(first.face.points, second.face.points)
    assert (first.face.box, first.face.score) == (second.face.box, second.face.score)
    assert first.provenance == second.provenance


def test_other_pixels_other_settings_and_other_ways_of_looking_are_kept_apart(
    networks: tuple[SFace, ImageEncoder], tmp_path: Path
) -> None:
    finder, cache = Seen(template_face(96)), FeatureCache(tmp_path)
    embedder = IdentityEmbedder(finder, *networks, cache=cache)
    swapped = IdentityEmbedder(finder, SFace(swap_channels=True), networks[1], cache=cache)
    changed = picture()
    changed[0, 0, 0] += 1 / 255
    embedder.embed(Photo(picture()))
    embedder.embed(Photo(changed))
    embedder.embed_square(picture())
    swapped.embed(Photo(picture()))
    assert finder.looks == len(cache.entries()) == 4


def test_a_refused_reference_is_not_kept(networks: tuple[SFace, ImageEncoder], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    with pytest.raises(ReferencePhotoError):
        IdentityEmbedder(Seen(), *networks, cache=cache).embed(Photo(picture()))
    assert cache.entries() == []


def test_kept_features_are_for_their_owner_alone(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "deep" / "features")
    cache.write("0" * 64, features_of(1.0, 2.0))
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.entries()[0].stat().st_mode) == 0o600


def test_a_damaged_file_is_as_none(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.write("k", features_of(1.0, 2.0))
    whole = cache.entries()[0].read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x04 no tensors"):
        cache.entries()[0].write_bytes(damaged)
        assert cache.read("k") is None
    assert cache.read("never kept") is None


def test_clearing_deletes_every_entry_and_nothing_else(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    for name in "ab":
        cache.write(name, features_of(1.0, 2.0))
    (tmp_path / ".a.0123.part").write_bytes(b"left by an interrupted write")
    (tmp_path / "mine.txt").write_text("mine")
    assert cache.clear() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert FeatureCache(tmp_path / "never made").clear() == 0


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(KeepfaceError, match="file: features can't be kept here: .*; name another folder"):
        FeatureCache(tmp_path / "file").write("a", features_of(1.0, 2.0))


# outliers


def test_references_that_agree_have_no_outlier() -> None:
    assert outliers([features_of(1.0, 0.1 * i) for i in range(4)]) == ()
    assert outliers([features_of(1.0)]) == outliers([]) == ()


def test_the_one_that_looks_like_somebody_else_is_named_wherever_it_stands() -> None:
    for place in range(4):
        vectors = [[1.0, 0.0], [1.0, 0.2], [1.0, -0.2]]
        vectors.insert(place, [0.0, 1.0])
        assert outliers([features_of(*vector) for vector in vectors]) == (place,)


def test_photos_that_agree_through_others_are_one_person() -> None:
    """Young and old may look unlike each other and both like the one between."""
    angles = [0.0, 1.0, 2.0, 1.5]  # radians; neighbours pass, the ends do not
    features = [features_of(float(np.cos(angle)), float(np.sin(angle))) for angle in angles]
    assert float(cosine(features[0].recogniser, features[2].recogniser)) < SAME_PERSON["sface"]
    assert outliers(features) == ()


def test_two_that_disagree_are_both_named() -> None:
    assert outliers([features_of(1.0, 0.0), features_of(0.0, 1.0)]) == (0, 1)
    halves = [features_of(1.0, 0.0), features_of(0.0, 1.0), features_of(1.0, 0.1), features_of(0.1, 1.0)]
    assert outliers(halves) == (0, 1, 2, 3)


def test_each_recogniser_has_its_own_floor() -> None:
    vectors = [(1.0, 0.0), (0.35, (1 - 0.35**2) ** 0.5)]  # between the two floors
    assert set(SAME_PERSON) == set(RECOGNISERS) | set(FILES)
    assert outliers([features_of(*vector, recogniser="sface") for vector in vectors]) == ()
    assert outliers([features_of(*vector, recogniser="facenet") for vector in vectors]) == (0, 1)


# with real faces


@pytest.mark.shared
def test_real_photos_are_embedded_and_a_stranger_among_them_is_named(
    networks: tuple[SFace, ImageEncoder], people: list[list[torch.Tensor]]
) -> None:
    embedder = IdentityEmbedder(Detector(), *networks)
    own = [people[0][0], people[0][1], people[0][0].flip(-1)]
    features = [embedder.embed(Photo(image)) for image in [*own, people[1][0]]]
    assert all(item.provenance["face"] == "detected" for item in features)
    assert outliers(features) == (3,)


@pytest.mark.shared
def test_two_people_in_one_reference_are_refused(
    networks: tuple[SFace, ImageEncoder], people: list[list[torch.Tensor]]
) -> None:
    both = torch.cat([people[0][0], people[1][0]], dim=-1)
    with pytest.raises(ReferencePhotoError, match="two faces of similar size"):
        IdentityEmbedder(Detector(), *networks).embed(Photo(both))


@pytest.mark.shared
def test_a_square_and_the_photo_it_was_cut_from_show_the_same_person(
    networks: tuple[SFace, ImageEncoder], people: list[list[torch.Tensor]]
) -> None:
    embedder = IdentityEmbedder(Detector(), *networks)
    square = people[0][0]
    photo = functional.pad(square, (100, 40, 30, 90), value=0.5)
    a, b = embedder.embed_square(square), embedder.embed(Photo(photo))
    assert float(cosine(a.recogniser, b.recogniser)) > 0.9
