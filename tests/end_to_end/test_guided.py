"""The default method from the command line to the file: its own weights, real networks, and the example pictures."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from keepface.cli import app
from keepface.engine.choice import Choice
from keepface.engine.provenance import Options
from keepface.engine.redo import restore_by
from keepface.engine.references import gather_references
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.faces.detect import Detector
from keepface.identity.compare import cosine
from keepface.identity.recogniser import JUDGE, RECOGNISERS
from keepface.image.files import read_photo
from keepface.people.features import Networks
from keepface.people.store import open_library

from ..engine.plain_restorer import landscape
from ..web.drawn_people import MINA, ROSA, group_photo, photos_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REFERENCES = [EXAMPLES / f"reference-{number}.jpg" for number in (1, 2)]
BY_REFERENCE = [word for path in REFERENCES for word in ("--ref", path)]
FACTOR = 8  # so many times coarser than the clean photo is the low one: 12 px from ear to ear
Rows = list[dict[str, Any]]


def keepface(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def rows(result: Result) -> Rows:
    found: Rows = json.loads(result.stdout)["results"]
    return found


def coarse(path: Path, factor: int) -> Path:
    """Write the clean photo as if it had been taken `factor` times coarser, and enlarged."""
    with Image.open(EXAMPLES / "clean.jpg") as clean:
        small = clean.convert("RGB").reduce(factor)
        small.resize(clean.size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Too coarse to tell whose face it is, so that the face is asked for by its number."""
    return coarse(tmp_path_factory.mktemp("guided") / "low.png", FACTOR)


@pytest.fixture(scope="module")
def made(low: Path) -> tuple[Path, dict[str, Any]]:
    """The result beside the low photo, its recipe and evidence, and what --json said of it."""
    out = low.with_name("out.png")
    beside = ("--sidecar", "--evidence", low.with_name("map.png"))
    result = keepface("restore", low, *BY_REFERENCE, "--only", 1, "-o", out, "--json", *beside)
    assert result.exit_code == 0, result.output
    (row,) = rows(result)
    return out, row


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer.from_pretrained(device="cpu")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library in which Barack is known by the example references."""
    monkeypatch.setenv("KEEPFACE_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = keepface("person", "add", "barack", *REFERENCES)
    assert result.exit_code == 0, result.output
    return tmp_path / "library"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_where_no_method_is_named_the_one_face_is_restored_by_guided(made: tuple[Path, dict[str, Any]]) -> None:
    out, row = made
    (face,) = row["faces"]
    assert (face["method"], face["outcome"], row["output"]) == ("guided", "restored", str(out))
    assert face["reasons"] == [] and face["quality"]["held_px_after"] > face["quality"]["held_px_before"]


def test_the_result_looks_more_like_the_clean_photo_that_the_method_never_saw(
    low: Path, made: tuple[Path, dict[str, Any]]
) -> None:
    judge = RECOGNISERS[JUDGE]()
    clean, before, after = (read_photo(path).pixels for path in (EXAMPLES / "clean.jpg", low, made[0]))
    face = Detector().detect(clean)[0]
    truth = judge.embed(clean, face)
    assert cosine(judge.embed(after, face), truth) > cosine(judge.embed(before, face), truth) + 0.1


def test_the_readmes_first_command_restores_the_one_face(tmp_path: Path) -> None:
    result = keepface("restore", EXAMPLES / "old.png", *BY_REFERENCE, "-o", tmp_path / "restored.png", "--json")
    (face,) = rows(result)[0]["faces"]
    assert result.exit_code == 0 and (face["method"], face["outcome"]) == ("guided", "restored")
    likeness = face["similarity"]
    assert likeness["output_to_references"] > likeness["input_to_references"]


def test_only_pixels_around_the_face_change(low: Path, made: tuple[Path, dict[str, Any]]) -> None:
    left, top, right, bottom = made[1]["faces"][0]["box"]
    rows, columns = np.nonzero((pixels(low) != pixels(made[0])).any(axis=2))
    wide, tall = right - left, bottom - top
    assert left - wide < columns.min() < left < right < columns.max() < right + wide
    assert top - tall < rows.min() and rows.max() < bottom + tall


def test_evidence_names_the_share_of_each_reference(low: Path, made: tuple[Path, dict[str, Any]]) -> None:
    told = made[1]["evidence"]
    (shares,) = told["faces"]
    assert told["draws"] == 1
    assert shares["photo"] + shares["references"] + shares["invented"] == pytest.approx(1, abs=2e-4)
    assert len(shares["by_reference"]) == len(REFERENCES) and sum(shares["by_reference"]) == pytest.approx(1, abs=1e-3)
    assert pixels(low.with_name("map.png")).shape == pixels(low).shape


def test_the_maps_of_evidence_sum_to_one_and_are_all_photo_away_from_the_face(restorer: Restorer, low: Path) -> None:
    settings = RestoreSettings(choice=Choice(only=("1",)))
    photo = read_photo(low)
    found, _ = restore_by(Options(settings), restorer, photo, gather_references(restorer, REFERENCES), True)
    assert found.evidence is not None
    maps = found.evidence.maps
    torch.testing.assert_close(maps.sum(0), torch.ones_like(maps[0]))
    assert float(maps.min()) >= 0 and maps[:, -1, -1].tolist() == [1, 0, 0]


def test_several_candidates_are_refused_in_plain_words(low: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    result = keepface("restore", low, *BY_REFERENCE, "--only", 1, "-o", out, "--candidates", 2)
    assert result.exit_code != 0 and not out.exists()
    assert "'guided' draws nothing: it makes one result" in result.stderr and "leave --candidates out" in result.stderr


def test_a_result_is_made_again_byte_for_byte_by_its_recipe(made: tuple[Path, dict[str, Any]], low: Path) -> None:
    out, again = made[0], low.with_name("again.png")
    recipe = out.with_name("out.png.keepface.json")
    backwards = [word for path in reversed(REFERENCES) for word in ("--ref", path)]
    result = keepface("redo", recipe, "--input", low, *backwards, "-o", again)
    assert result.exit_code == 0, result.output
    assert again.read_bytes() == out.read_bytes()
    maker = json.loads(recipe.read_text())["maker"]
    assert maker["method"] == "guided" and len(maker["method_sha256"]) == 64 and "family" not in maker


def test_a_person_of_the_library_leads_as_their_photos_do(
    library: Path, made: tuple[Path, dict[str, Any]], low: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    result = keepface("restore", low, "--person", "barack", "--only", 1, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    (face,) = rows(result)[0]["faces"]
    assert (face["person"], face["method"], face["outcome"]) == ("barack", "guided", "restored")
    assert np.array_equal(pixels(out), pixels(made[0]))


def test_in_an_album_each_face_has_its_own_person_and_strangers_stay(library: Path, tmp_path: Path) -> None:
    assert keepface("person", "add", "rosa", *photos_of(ROSA, tmp_path, "rosa", 3)).exit_code == 0
    album, out = tmp_path / "album", tmp_path / "out"
    album.mkdir()
    coarse(album / "a.png", 5)  # clear enough to be known
    group_photo([ROSA, MINA], album / "b.jpg", low=0.5)
    landscape(album / "c.png")
    result = keepface("restore", album, "--people", "-o", out, "--json", "--keep-worse")
    assert result.exit_code == 0, result.output
    found = {Path(row["input"]).name: row for row in rows(result)}
    told = {
        name: [(face["person"], face["outcome"]) for face in sorted(row["faces"], key=lambda face: face["box"] or [])]
        for name, row in found.items()
    }
    assert told == {
        "a.png": [("barack", "restored")],
        "b.jpg": [("rosa", "restored"), (None, "unchanged")],
        "c.png": [(None, "unchanged")],
    }
    assert {face["method"] for row in found.values() for face in row["faces"]} == {"guided"}
    assert (out / "c.png").read_bytes() == (album / "c.png").read_bytes()
    alone = keepface("restore", album / "a.png", "--people", "-o", tmp_path / "alone.png", "--keep-worse")
    assert alone.exit_code == 0, alone.output
    assert np.array_equal(pixels(tmp_path / "alone.png"), pixels(out / "a.png"))


def test_the_api_offers_guided_first_and_restores_by_it(
    restorer: Restorer, made: tuple[Path, dict[str, Any]], low: Path, tmp_path: Path
) -> None:
    pytest.importorskip("fastapi", reason="needs keepface[web]")
    from fastapi.testclient import TestClient

    from keepface.web.app import make_app
    from keepface.web.jobs import Jobs
    from keepface.web.settings import ServeSettings
    from keepface.web.workshop import Workshop

    settings = ServeSettings(folder=tmp_path / "serve", cache=tmp_path / "cache")
    asked: list[str] = []
    workshop = Workshop(
        open_library(tmp_path / "library", lambda: ""),
        settings,
        lambda method: asked.append(method) or restorer,
        lambda: Networks(restorer.embedder, restorer.judge),
    )
    jobs = Jobs(settings, workshop.hidden)
    try:
        client = TestClient(make_app(workshop, jobs, settings, has_page=False), "http://127.0.0.1:7878")
        assert client.get("/v1/health").json()["methods"][0] == "guided"
        files = [("photo", (low.name, low.read_bytes()))]
        files += [("references", (path.name, path.read_bytes())) for path in REFERENCES]
        key = client.post("/v1/restorations", files=files, data={"options": '{"only": ["1"]}'}).json()["key"]
        jobs.wait(key)
        (face,) = client.get(f"/v1/restorations/{key}").json()["faces"]
        assert asked == ["guided"] and (face["method"], face["outcome"]) == ("guided", "restored")
        picture = client.get(f"/v1/restorations/{key}/picture").content
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")), pixels(made[0]))
    finally:
        jobs.close()
        workshop.close()
