from dataclasses import replace
from pathlib import Path

import pytest
import torch

from keepface import __version__
from keepface.engine.provenance import IPTC_EXT, OURS, SOURCE_TYPE, Maker, Options, folder_sha256, made_by, mark
from keepface.engine.restorer import Restorer
from keepface.engine.result import FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.image.endings import FORMATS
from keepface.image.files import Photo, encode_photo, photo_from_bytes
from keepface.image.xmp import Property, properties, with_properties

TITLE = Property("http://purl.org/dc/elements/1.1/", "dc", "title")
MAKER = Maker("faceme", "compact", "f" * 64, "a" * 64)


def restoration(is_restored: bool = True) -> Restoration:
    photo = Photo(torch.rand(3, 16, 16), xmp=with_properties(None, {TITLE: "Grandmother"}))
    face = FaceResult(
        (1.0, 2.0, 9.0, 9.0), "restored" if is_restored else "unchanged", (), Similarity(), 3, "faceme", person="anna"
    )
    return Restoration(photo, "old.jpg", (face,), 1.0, RestoreSettings())


@pytest.mark.parametrize("form", sorted(set(FORMATS.values())))
def test_a_result_says_in_its_file_that_a_model_painted_in_it(form: str) -> None:
    marked = mark(restoration(), MAKER, Options(RestoreSettings(), seed=3))
    read = photo_from_bytes(encode_photo(marked.image, form))
    said = properties(read.xmp or b"")
    assert said[IPTC_EXT, "DigitalSourceType"] == SOURCE_TYPE
    assert SOURCE_TYPE.endswith("/digitalsourcetype/compositeWithTrainedAlgorithmicMedia")
    assert said[IPTC_EXT, "AISystemUsed"] == "keepface faceme"
    assert said[IPTC_EXT, "AISystemVersionUsed"] == said[OURS, "Version"] == __version__
    assert (said[OURS, "Family"], said[OURS, "FamilySHA256"], said[OURS, "MethodSHA256"]) == (
        "compact",
        "f" * 64,
        "a" * 64,
    )
    assert len(said[OURS, "OptionsSHA256"]) == 64 and said[OURS, "Restored"] == "1 of 1 faces"
    assert said[TITLE.space, TITLE.name] == "Grandmother"


def test_nobody_is_named_in_the_file() -> None:
    told = mark(restoration(), replace(MAKER, person_sha256="b" * 64), Options(RestoreSettings())).image.xmp or b""
    assert b"anna" not in told and b"old.jpg" not in told and b"b" * 64 not in told


def test_where_nothing_was_restored_or_it_is_not_wanted_nothing_is_said() -> None:
    untouched, made = restoration(is_restored=False), restoration()
    assert mark(untouched, MAKER, Options(RestoreSettings())) is untouched
    assert mark(made, MAKER, Options(RestoreSettings(), provenance=False)) is made


def test_the_same_call_makes_the_same_bytes_and_another_option_another_hash() -> None:
    once, again = (mark(restoration(), MAKER, Options(RestoreSettings())).image.xmp for _ in range(2))
    assert once == again
    hashes = {
        Options(settings, seed).sha256 for settings in (RestoreSettings(), RestoreSettings(steps=9)) for seed in (0, 1)
    }
    assert len(hashes) == 4


def test_a_loaded_method_is_named_by_the_files_it_came_from(tiny_restorer: Restorer, tiny_family_folder: Path) -> None:
    maker = made_by(tiny_restorer.method)
    assert (maker.method, maker.family) == ("faceme", "tiny")
    assert maker.method_sha256 == folder_sha256(tiny_family_folder / "faceme")
    assert maker.family_sha256 == folder_sha256(tiny_family_folder, leave_out=("faceme",))
    assert maker.family_sha256 != folder_sha256(tiny_family_folder)


def test_a_folders_hash_follows_its_weights_and_settings_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    first = folder_sha256(tmp_path)
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "hashes.json").write_text("{}")
    assert folder_sha256(tmp_path) == first
    (tmp_path / "unet" / "config.json").write_text('{"a": 1}')
    assert folder_sha256(tmp_path) != first
