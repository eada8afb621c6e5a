import hashlib
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest

from keepface.errors import HashMismatchError, WeightsError
from keepface.published.files import Release, conditions, refuse_unaccepted, releases, releases_of
from keepface.published.gather import find, gather, states
from keepface.published.table import FAMILIES


def write_all(folder: Path, place: str, family: str = "sdxl") -> None:
    """Write a file of one byte for every published one, by its last name; `place` is a release's field."""
    for release in releases_of(family).values():
        for names in release.wanted:
            path = folder / (getattr(release, place) or release.folder) / names[-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give the hub's client an empty cache and no network, as HF_HUB_OFFLINE and HF_HUB_CACHE do."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "own"))
    return cache


def test_every_family_has_its_files_and_every_release_its_terms() -> None:
    assert set(FAMILIES) <= set(releases())
    for parts in releases().values():
        for release in parts.values():
            assert release.licence and release.page.startswith("https://") and release.bytes > 0 and release.files
            is_pickle = any(name.endswith((".bin", ".ckpt", ".pt", ".pth")) for name in release.files)
            assert is_pickle == (release.kind == "pickle")


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_files_are_found_below_the_publishers_and_the_releases_name(place: str, tmp_path: Path) -> None:
    write_all(tmp_path / "downloads", place)
    sources = gather("sdxl", [tmp_path / "downloads"], "cache")
    assert sources.path("antelopev2") == tmp_path / "downloads" / "antelopev2" / "glintr100.onnx"
    unet = sources.path("base", "unet/diffusion_pytorch_model.fp16.safetensors")
    assert unet.name == "diffusion_pytorch_model.safetensors"  # another of its names
    assert sources.folder("base", "unet/config.json").parts[-2:] == ("RealVisXL_V3.0", "unet")


def test_a_base_of_ones_own_goes_first_and_its_half_precision_files_before_others(tmp_path: Path) -> None:
    write_all(tmp_path / "downloads", "folder")
    write_all(tmp_path / "own", "folder")
    own = tmp_path / "own" / "RealVisXL_V3.0"
    half = own / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    half.write_bytes(b"x")
    sources = gather("sdxl", [own, tmp_path / "downloads"], "cache")
    assert sources.path("base", "unet/diffusion_pytorch_model.fp16.safetensors") == half
    assert sources.path("base", "vae/config.json") == own / "vae" / "config.json"


def test_the_hubs_cache_is_looked_in_without_a_network(no_hub: Path) -> None:
    release = releases_of("sdxl")["photomaker"]
    snapshot = no_hub / "models--TencentARC--PhotoMaker" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "photomaker-v1.bin").write_bytes(b"x")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    for hub in ("cache", "download"):
        assert find(release, release.wanted[0], [], hub) == snapshot / "photomaker-v1.bin"


def test_what_is_nowhere_is_listed_with_how_to_get_it(tmp_path: Path) -> None:
    write_all(tmp_path, "folder")
    (tmp_path / "antelopev2" / "glintr100.onnx").unlink()
    (tmp_path / "FaceMe" / "weights" / "mix" / "mix.safetensors").unlink()
    with pytest.raises(WeightsError) as caught:
        gather("sdxl", [tmp_path], "cache")
    for words in (
        "thomas2modyu/FaceMe (keepface weights fetch sdxl --accept-licence): mix/mix.safetensors",
        "by hand from https://github.com/deepinsight/insightface",
        ": unpack antelopev2.zip into FOLDER/antelopev2, and name it: --from FOLDER: glintr100.onnx",
    ):
        assert words in str(caught.value)
    with pytest.raises(WeightsError, match="the hub can't be asked: .*--from FOLDER"):
        gather("sdxl", [], "download")
    bad = [state.name for state in states("sdxl", [tmp_path]) if not state.ok]
    assert bad == ["faceme/mix/mix.safetensors", "antelopev2/glintr100.onnx"]


@pytest.mark.parametrize("family", ["sdxl", "sd15"])
@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("downloads/{0}/{0}", "downloads"),  # as the archive unpacks into a folder of its name
        ("downloads/{0}/{0}", "downloads/{0}"),
        ("downloads/{0}", "downloads"),
        ("downloads/{0}", "downloads/{0}"),
        ("own/.insightface/models/{0}", None),  # as insightface fetches it
        ("own/.insightface/models/{0}/{0}", None),
    ],
)
def test_a_pack_of_insightfaces_is_found_however_it_was_unpacked(
    family: str, place: str, named: str | None, tmp_path: Path
) -> None:
    release = next(item for item in releases_of(family).values() if not item.hub)
    (file,) = release.files
    path = tmp_path / place.format(release.folder) / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    folders = [] if named is None else [tmp_path / named.format(release.folder)]
    assert find(release, (file,), folders, "cache") == path


def test_a_folder_that_is_none_and_an_unknown_family_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere: there is no such folder"):
        gather("sdxl", [tmp_path / "nowhere"], "cache")
    with pytest.raises(WeightsError, match="family 'sd9' is not made of published files; those that are: sdxl"):
        gather("sd9", [], "cache")


def test_a_file_must_be_the_one_that_its_publisher_names(tmp_path: Path) -> None:
    release: Release = releases_of("sdxl")["antelopev2"]
    (tmp_path / "glintr100.onnx").write_bytes(b"x")
    right, wrong = hashlib.sha256(b"x").hexdigest(), 64 * "0"
    named = replace(release, sha256={"glintr100.onnx": right})
    assert find(named, named.wanted[0], [tmp_path], "cache") == tmp_path / "glintr100.onnx"
    with pytest.raises(HashMismatchError, match=f"SHA-256 is {right}, .* names {wrong}"):
        find(replace(named, sha256={"glintr100.onnx": wrong}), named.wanted[0], [tmp_path], "cache")


def test_files_that_are_not_for_commercial_use_need_consent() -> None:
    with pytest.raises(WeightsError, match="FaceMe: Pi-Lab License 1.0 .*antelopev2.*add --accept-licence"):
        refuse_unaccepted("sdxl", False)
    refuse_unaccepted("sdxl", True)
    assert "thomas2modyu/FaceMe: Pi-Lab License 1.0 (non-commercial)" in conditions("sdxl")
