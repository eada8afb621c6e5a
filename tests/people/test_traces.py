import dataclasses
from pathlib import Path

from keepface.identity.embed import FeatureCache, IdentityEmbedder, IdentityFeatures
from keepface.image.files import read_photo
from keepface.people.features import Known, Networks
from keepface.people.intake import look_at
from keepface.people.store import Library
from keepface.people.traces import cached_features

from .conftest import EXAMPLES, made_up_features, new_photo


def entries(cache: FeatureCache, *features: IdentityFeatures) -> dict[int, Path]:
    for number, item in enumerate(features):
        cache.write(f"{number:064}", item)
    return {number: cache.folder / f"{number:064}.safetensors" for number in range(len(features))}


def test_entries_of_the_person_are_found_and_those_of_others_left(library: Library, tmp_path: Path) -> None:
    anna = library.add("anna", [new_photo(1), new_photo(2)])
    ones, twos, others = (made_up_features(seed).features for seed in (1, 2, 3))
    cache = FeatureCache(tmp_path / "cache")
    paths = entries(cache, ones, others, twos)
    assert cached_features(library, anna, cache) == (paths[0], paths[2])


def test_an_entry_that_can_not_be_compared_is_taken_for_theirs(library: Library, tmp_path: Path) -> None:
    anna = library.add("anna", [new_photo(1)])
    other = made_up_features(3).features
    older = dataclasses.replace(other, provenance={**other.provenance, "recogniser_sha256": "1" * 64})
    cache = FeatureCache(tmp_path / "cache")
    paths = entries(cache, other, older)
    damaged = cache.folder / f"{9:064}.safetensors"
    damaged.write_bytes(b"damaged")
    assert cached_features(library, anna, cache) == (paths[1], damaged)


def test_without_features_of_a_photo_no_entry_is_spared(library: Library, tmp_path: Path) -> None:
    anna = library.add("anna", [new_photo(1), dataclasses.replace(new_photo(2), features=None)])
    cache = FeatureCache(tmp_path / "cache")
    paths = entries(cache, made_up_features(3).features)
    assert cached_features(library, anna, cache) == (paths[0],)
    assert cached_features(library, anna, FeatureCache(tmp_path / "none")) == ()


def test_what_an_embedder_cached_of_a_photo_is_found(library: Library, networks: Networks, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    caching = IdentityEmbedder(
        networks.embedder.detector, networks.embedder.recogniser, networks.embedder.encoder, cache
    )
    photo = EXAMPLES / "reference-1.jpg"
    caching.embed(read_photo(photo))
    anna = library.add("anna", look_at([photo], Known((), ()), networks).accepted)
    assert cached_features(library, anna, cache) == tuple(cache.entries()) and len(cache.entries()) == 1
