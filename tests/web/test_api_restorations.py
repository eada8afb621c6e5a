"""/v1/restorations: the same picture as the engine makes, receipts, candidates, evidence, and what is refused."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keepface.engine.choice import Choice
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import restore_any
from keepface.errors import KeepfaceError
from keepface.image.files import photo_from_bytes, to_uint8
from keepface.people.features import Networks
from keepface.web.refusals import said

from ..engine.plain_restorer import ANNA, BEN, PlainRestorer, album, person
from .conftest import EXAMPLES, Server, noise

OLD, REFERENCE = EXAMPLES / "old.png", EXAMPLES / "reference-1.jpg"
ASKED = Choice(only=("1",))


def restore(server: Server, photo: bytes, references: tuple[bytes, ...] = (), **options: Any) -> Any:
    """Send a photo; face 1 is asked for where references are given: in OLD it is too damaged to be known."""
    options = {"only": ["1"], **options} if references else options
    files = [("photo", ("old.png", photo)), *(("references", ("ref.jpg", data)) for data in references)]
    return server.post("/v1/restorations", files=files, data={"options": json.dumps(options)})


def done(server: Server, response: Any) -> Any:
    job = server.finished(response)
    assert job["state"] == "done", job
    return server.get(f"/v1/restorations/{job['key']}").json()


def test_the_picture_is_the_one_that_the_engine_makes(server: Server, restorer: PlainRestorer) -> None:
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), keep_worse=True, seed=3))
    response = server.get(f"/v1/restorations/{told['key']}/picture")
    settings = RestoreSettings(keep_worse=True, choice=ASKED)
    expected = restore_any(restorer, OLD, [REFERENCE], settings, 3)
    got = photo_from_bytes(response.content)
    assert response.headers["content-type"] == "image/png"
    assert np.array_equal(to_uint8(got.pixels), to_uint8(expected.image.pixels))
    assert [face["box"] for face in told["faces"]] == [face.to_json()["box"] for face in expected.faces]
    assert b"compositeWithTrainedAlgorithmicMedia" in response.content
    assert "old-restored.png" in response.headers["content-disposition"]


def test_what_is_asked_for_reaches_the_networks(server: Server, restorer: PlainRestorer) -> None:
    done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), fidelity=0.25, identity=0.5, seed=11))
    assert [(call["settings"], call["seeds"]) for call in restorer.calls] == [((0.25, 0.5), [11])]
    restorer.calls.clear()
    knobs = [{"who": "1", "fidelity": 0.75}]
    done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), knobs=knobs))
    assert [call["settings"] for call in restorer.calls] == [(0.75, 1.0)]
    restorer.calls.clear()
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), skip=["1"]))
    assert restorer.calls == [] and told["faces"][0]["reason"] == "skipped, as asked" and told["changed"] is False


def test_a_photo_in_which_nothing_is_restored_comes_back_byte_for_byte(server: Server) -> None:
    data = noise(form="JPEG")
    told = done(server, restore(server, data, everybody=False))
    assert (told["changed"], told["faces"][0]["reason"]) == (False, "no face")
    assert server.get(f"/v1/restorations/{told['key']}/picture").content == data
    other = server.get(f"/v1/restorations/{told['key']}/picture", params={"format": "webp"})
    assert Image.open(io.BytesIO(other.content)).format == "WEBP"


def test_candidates_are_ranked_and_each_can_be_had(server: Server) -> None:
    asked = {"candidates": 3, "evidence": True, "keep_worse": True}
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), **asked))
    path = f"/v1/restorations/{told['key']}"
    (face,) = server.get(f"{path}/candidates").json()["faces"]
    scores = [item["score"] for item in face["candidates"]]
    assert face["face"] == 1 and len(scores) == told["candidates"] == 3 and scores == sorted(scores, reverse=True)
    assert server.get(f"{path}/picture", params={"rank": 0}).content == server.get(f"{path}/picture").content
    assert server.get(f"{path}/picture", params={"rank": 2}).status_code == 200
    for ranks, status in (([0, 0], 422), ([9], 422), ([-1], 422), (["x"], 422)):
        assert server.get(f"{path}/picture", params={"rank": ranks}).status_code == status, ranks
    shares = told["faces"][0]["evidence"]
    assert shares["photo"] + shares["references"] + shares["invented"] == pytest.approx(1, abs=1e-3)
    overlay = Image.open(io.BytesIO(server.get(f"{path}/overlay").content))
    assert overlay.size == (told["width"], told["height"])


def test_the_report_names_the_hashes_and_runs_nothing(server: Server) -> None:
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),)))
    report = server.get(f"/v1/restorations/{told['key']}/report")
    for data in (OLD.read_bytes(), REFERENCE.read_bytes()):
        assert hashlib.sha256(data).hexdigest() in report.text
    assert "sandbox" in report.headers["content-security-policy"] and "script" not in report.text.lower()


def test_the_recipe_holds_the_hash_of_the_very_file(server: Server) -> None:
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), keep_worse=True))
    path = f"/v1/restorations/{told['key']}"
    for form in ("png", "jpeg", "webp", "tiff"):
        picture = server.get(f"{path}/picture", params={"format": form})
        recipe = server.get(f"{path}/recipe", params={"format": form}).json()
        assert recipe["output_sha256"] == hashlib.sha256(picture.content).hexdigest(), form
        assert recipe["sources"]["photo_sha256"] == hashlib.sha256(OLD.read_bytes()).hexdigest()
        assert picture.headers["content-type"] == f"image/{form}" and recipe["output_format"] == form.upper()


def test_what_was_not_asked_for_is_not_there_and_says_so(server: Server) -> None:
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),)))
    for part in ("overlay", "candidates"):
        response = server.get(f"/v1/restorations/{told['key']}/{part}")
        assert response.status_code == 409 and "when the photo is restored" in response.json()["error"]
    assert server.get("/v1/restorations/nothing/picture").status_code == 404


def test_a_restoration_that_is_deleted_is_gone(server: Server) -> None:
    key = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),)))["key"]
    assert server.get("/v1/restorations").json()["restorations"][0]["key"] == key
    assert server.delete(f"/v1/restorations/{key}").status_code == 204
    assert (
        server.delete(f"/v1/restorations/{key}").status_code == server.get(f"/v1/restorations/{key}").status_code == 404
    )
    assert server.get("/v1/restorations").json() == {"restorations": []}
    assert [path for path in server.workshop.shelf.folder.rglob("*") if path.name != ".turn"] == []


def test_options_that_can_not_be_name_their_part(server: Server) -> None:
    photo = OLD.read_bytes()
    for options, where in (
        ({"steps": 0}, "options.steps"),
        ({"steps": "many"}, "options.steps"),
        ({"fidelity": 2}, "options.fidelity"),
        ({"candidates": 65}, "options.candidates"),
        ({"speed": 3}, "options.speed"),
        ({"knobs": [{"who": "anna", "identity": 3}]}, "options.knobs.0.identity"),
        ({"scale": 2, "tile": False}, None),
        ({"method": "magic"}, None),
        ({"only": ["0"]}, None),
    ):
        response = restore(server, photo, everybody=False, **options)
        assert (response.status_code, response.json()["where"]) == (422, where), response.text
    for text in ("{", "[]", "null", '{"seed": 1e400}', '{"seed": ' + "9" * 5000 + "}", "NaN"):
        response = server.post("/v1/restorations", files={"photo": photo}, data={"options": text})
        assert (response.status_code, response.json()["where"].split(".")[0]) == (422, "options"), text
    assert server.get("/v1/jobs").json() == {"jobs": []}


def test_nobody_in_the_library_is_told_before_the_work(server: Server) -> None:
    response = restore(server, OLD.read_bytes())
    assert response.status_code == 409 and "holds nobody yet" in response.json()["error"]
    assert restore(server, OLD.read_bytes(), person="0" * 16).status_code == 404


def test_references_that_can_not_be_used_fail_the_job_in_words_without_folders(server: Server) -> None:
    job = server.finished(restore(server, OLD.read_bytes(), (noise(),)))
    assert job["state"] == "failed" and "no reference can be used: ref.jpg: no face was found" in job["error"]
    assert str(server.folder) not in job["error"]
    response = server.get(f"/v1/restorations/{job['key']}/picture")
    assert response.status_code == 409 and "no reference can be used" in response.json()["error"]


def test_no_error_tells_a_folder() -> None:
    told = said(
        KeepfaceError("/a b/library/people/x.jpg: is damaged; see /etc/keepface/some.toml"), [Path("/a b/library")]
    )
    assert told == "people/x.jpg: is damaged; see some.toml"
    assert said(KeyError("/secret/anna")) == "something went wrong inside keepface (KeyError)"
    assert said(KeepfaceError("use JPEG/PNG, 3/4 of it, or a/b")) == "use JPEG/PNG, 3/4 of it, or a/b"


@pytest.mark.shared
def test_each_face_gets_its_own_person_and_strangers_stay(server: Server) -> None:
    for name, who in (("anna", ANNA), ("ben", BEN)):
        files = [("photos", (path.name, path.read_bytes())) for path in person(who, 3)]
        assert server.post("/v1/people", data={"name": name}, files=files).status_code == 201
    told = done(server, restore(server, album("clean/03.png").read_bytes(), keep_worse=True))
    faces = sorted(told["faces"], key=lambda face: face["box"][0])
    assert [(face["person"], face["restored"]) for face in faces] == [("ben", True), (None, False), (None, False)]
    assert 0.5 < faces[0]["same_person_probability"] <= 1


def test_a_real_diffusion_model_restores_through_the_api(servers: Any, tiny_restorer: Restorer) -> None:
    server = servers()
    server.workshop._load = lambda _: tiny_restorer
    server.workshop._load_networks = lambda: Networks(tiny_restorer.embedder, tiny_restorer.judge)
    asked = {"steps": 2, "keep_worse": True}
    told = done(server, restore(server, OLD.read_bytes(), (REFERENCE.read_bytes(),), **asked))
    assert (told["state"], told["done"], told["total"]) == ("done", 2, 2)
    settings = RestoreSettings(steps=2, keep_worse=True, choice=ASKED)
    expected = restore_any(tiny_restorer, OLD, [REFERENCE], settings, 0)
    got = photo_from_bytes(server.get(f"/v1/restorations/{told['key']}/picture").content)
    assert np.array_equal(to_uint8(got.pixels), to_uint8(expected.image.pixels))
