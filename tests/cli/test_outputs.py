"""What keepface restore writes besides the picture."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from keepface.engine.credentials import read_credentials
from keepface.engine.provenance import IPTC_EXT, SOURCE_TYPE
from keepface.image.files import Photo, read_photo, write_photo
from keepface.image.xmp import properties

from ..engine.certificates import make_certificate
from ..engine.plain_restorer import ANNA, PlainRestorer, album, landscape, person
from ..toy import SIZE, draw_face

Keepface = Callable[..., Result]
Results = Callable[[Result], list[dict[str, Any]]]


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x0132], tags[0x8769] = "1954:06:01 12:00:00", {0x9003: "1954:06:01 12:00:00"}
    tags[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return tags.tobytes()


@pytest.fixture
def square(tmp_path: Path) -> Path:
    path = tmp_path / "square.jpg"
    write_photo(Photo(draw_face(0, 0, SIZE), exif=exif()), path)
    return path


def gps(path: Path) -> dict[Any, Any]:
    tags = Image.Exif()
    tags.load(read_photo(path).exif or b"")
    assert tags[0x0132] == "1954:06:01 12:00:00"
    return dict(tags.get_ifd(0x8825))


def test_a_result_says_that_it_was_restored_unless_told_not_to_and_keeps_date_and_place(
    keepface: Keepface, restorer: PlainRestorer, square: Path, tmp_path: Path
) -> None:
    said, quiet = tmp_path / "said.jpg", tmp_path / "quiet.jpg"
    assert keepface("restore", square, "-o", said, "--aligned", "--keep-worse").exit_code == 0
    assert keepface("restore", square, "-o", quiet, "--aligned", "--keep-worse", "--no-provenance").exit_code == 0
    assert properties(read_photo(said).xmp or b"")[IPTC_EXT, "DigitalSourceType"] == SOURCE_TYPE
    assert read_photo(quiet).xmp is None
    assert gps(said) == gps(quiet) != {}


def test_the_place_is_left_out_on_request_also_where_nothing_was_restored(
    keepface: Keepface, restorer: PlainRestorer, square: Path, tmp_path: Path
) -> None:
    field = landscape(tmp_path / "plain.png")
    write_photo(Photo(read_photo(field).pixels, exif=exif()), tmp_path / "field.png")
    for name, more in (("square.jpg", ["--aligned"]), ("field.png", [])):
        out = tmp_path / f"out-{name}"
        assert keepface("restore", tmp_path / name, "-o", out, "--strip-gps", *more).exit_code == 0
        assert gps(out) == {} and gps(tmp_path / name) != {}
    assert read_photo(tmp_path / "out-field.png").xmp is None


@pytest.mark.shared
def test_everything_is_written_beside_and_told_in_json(
    keepface: Keepface, restorer: PlainRestorer, results: Results, tmp_path: Path
) -> None:
    photo, out, others = album("photos/00.jpg"), tmp_path / "out.png", tmp_path / "others"
    words = [word for path in person(ANNA) for word in ("--ref", path)]
    words += ["--candidates", 3, "--candidates-dir", others, "--evidence", tmp_path / "evidence.png", "--sidecar"]
    result = keepface("restore", photo, "-o", out, *words, "--report", tmp_path / "page.html", "--keep-worse", "--json")
    (row,) = results(result)
    (face,) = row["faces"]
    assert [item["chosen"] for item in face["candidates"]] == [True, False, False]
    keys = {"seed", "identity", "judged", "consistency_db", "naturalness", "score", "chosen"}
    assert set(face["candidates"][0]) == keys
    (shares,) = row["evidence"]["faces"]
    assert shares["photo"] + shares["references"] + shares["invented"] == pytest.approx(1, abs=1e-3)
    assert sorted(path.name for path in others.iterdir()) == ["out.candidate-2.png", "out.candidate-3.png"]
    assert read_photo(tmp_path / "evidence.png").pixels.shape == read_photo(photo).pixels.shape
    told = json.loads((tmp_path / "out.png.keepface.json").read_text())
    assert told["options"]["candidates"] == 3 and len(told["sources"]["references"]) == 2
    page = (tmp_path / "page.html").read_text()
    assert told["sources"]["photo_sha256"] in page and "From the references" in page
    for path in person(ANNA):
        assert str(path) not in page and str(path) not in json.dumps(told)


@pytest.mark.shared
def test_of_several_photos_each_has_its_own_in_the_folders_named(
    keepface: Keepface, restorer: PlainRestorer, tmp_path: Path
) -> None:
    out, shown, pages = tmp_path / "out", tmp_path / "shown", tmp_path / "pages"
    photos = [album("photos/00.jpg"), album("photos/02.jpg")]
    result = keepface("restore", *photos, "-o", out, "--evidence", shown, "--report", pages, "--sidecar")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in shown.iterdir()) == ["00.jpg.png", "02.jpg.png"]
    assert sorted(path.name for path in pages.iterdir()) == ["00.jpg.html", "02.jpg.html"]
    names = ["00.jpg", "00.jpg.keepface.json", "02.jpg", "02.jpg.keepface.json"]
    assert sorted(path.name for path in out.iterdir()) == names


def test_half_of_what_signing_needs_is_refused(keepface: Keepface, square: Path, tmp_path: Path) -> None:
    result = keepface("restore", square, "-o", tmp_path / "o.jpg", "--c2pa-key", square)
    assert result.exit_code == 2 and "--c2pa-cert" in result.stderr


def test_a_result_is_signed_last_so_that_its_recipe_is_of_the_file_before(
    keepface: Keepface, restorer: PlainRestorer, square: Path, tmp_path: Path
) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install 'keepface[c2pa]'")
    pytest.importorskip("cryptography", reason="the test certificate is made by cryptography")
    own, plain, signed = make_certificate(tmp_path), tmp_path / "plain.jpg", tmp_path / "signed.jpg"
    assert keepface("restore", square, "-o", plain, "--aligned").exit_code == 0
    words = ("--c2pa-cert", own.chain, "--c2pa-key", own.key, "--sidecar")
    result = keepface("restore", square, "-o", signed, "--aligned", *words)
    assert result.exit_code == 0, result.output
    assert read_credentials(signed)["validation_state"] in ("Valid", "Trusted")
    told = json.loads((tmp_path / "signed.jpg.keepface.json").read_text())
    assert told["output_sha256"] == sha256(plain.read_bytes()).hexdigest()
    result = keepface(
        "restore", square, "-o", tmp_path / "o.jpg", "--aligned", "--c2pa-cert", square, "--c2pa-key", own.key
    )
    assert result.exit_code == 1 and "not signed" in result.stderr and (tmp_path / "o.jpg").exists()
