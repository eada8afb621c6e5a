"""Signing with a certificate made for the test; what a public list of trusted authorities would add is not tested."""

from pathlib import Path

import pytest
import torch

from keepface.engine.credentials import OWN_LABEL, Certificate, read_credentials, sign
from keepface.engine.provenance import SOURCE_TYPE, Maker, Options, mark
from keepface.engine.result import FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.errors import KeepfaceError, PhotoError
from keepface.image.files import Photo, read_photo, write_photo
from keepface.image.xmp import properties

from .certificates import make_certificate

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install 'keepface[c2pa]'")
pytest.importorskip("cryptography", reason="the test certificate is made by cryptography")

MAKER, OPTIONS = Maker("faceme", "compact", "f" * 64, "a" * 64), Options(RestoreSettings(), seed=3)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def result_in(folder: Path, ending: str) -> tuple[Path, Path]:
    photo = Photo(torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(1)))
    write_photo(photo, folder / "old.jpg")
    face = FaceResult((1.0, 2.0, 9.0, 9.0), "restored", (), Similarity(), 3, "faceme")
    marked = mark(Restoration(photo, "old.jpg", (face,), 1.0, RestoreSettings()), MAKER, OPTIONS)
    marked.save(folder / f"out{ending}")
    return folder / f"out{ending}", folder / "old.jpg"


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
def test_a_signed_file_says_what_was_done_and_of_what_and_its_picture_is_the_same(
    certificate: Certificate, tmp_path: Path, ending: str
) -> None:
    output, original = result_in(tmp_path, ending)
    before = read_photo(output)
    sign(output, original, certificate, MAKER, OPTIONS)
    found = read_credentials(output)
    assert found["validation_state"] in ("Valid", "Trusted")
    manifest = found["manifests"][found["active_manifest"]]
    actions = next(item["data"]["actions"] for item in manifest["assertions"] if item["label"] == "c2pa.actions.v2")
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == SOURCE_TYPE
    own = next(item["data"] for item in manifest["assertions"] if item["label"] == OWN_LABEL)
    assert own["options_sha256"] == OPTIONS.sha256 and own["family_sha256"] == "f" * 64
    assert [item["relationship"] for item in manifest["ingredients"]] == ["parentOf"]
    assert "thumbnail" not in manifest and "old.jpg" not in str(found)
    after = read_photo(output)
    assert torch.equal(after.pixels, before.pixels)
    assert properties(after.xmp or b"").items() >= properties(before.xmp or b"").items()


def test_a_signed_file_that_was_changed_afterwards_is_no_longer_valid(certificate: Certificate, tmp_path: Path) -> None:
    output, original = result_in(tmp_path, ".jpg")
    sign(output, original, certificate, MAKER, OPTIONS)
    data = bytearray(output.read_bytes())
    data[-200] ^= 1  # in the picture
    output.write_bytes(data)
    assert read_credentials(output)["validation_state"] == "Invalid"


def test_a_bad_certificate_is_refused_and_the_result_stays_as_it_was(certificate: Certificate, tmp_path: Path) -> None:
    output, original = result_in(tmp_path, ".png")
    before = output.read_bytes()
    (tmp_path / "bad.pem").write_text("no certificate")
    for bad in (Certificate(tmp_path / "bad.pem", certificate.key), Certificate(tmp_path / "no.pem", certificate.key)):
        with pytest.raises(KeepfaceError, match="not signed|can't be read"):
            sign(output, original, bad, MAKER, OPTIONS)
    assert output.read_bytes() == before
    with pytest.raises(KeepfaceError, match="es256"):
        Certificate(certificate.chain, certificate.key, "rot13")


def test_an_unsigned_file_has_no_credentials(tmp_path: Path) -> None:
    output, _ = result_in(tmp_path, ".png")
    with pytest.raises(PhotoError, match="no content credentials"):
        read_credentials(output)
