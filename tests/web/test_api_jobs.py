"""/v1/albums, /v1/trainings, /v1/jobs: many photos, progress, stopping, the zip, and a person who is learned."""

import io
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.engine.choice import Choice
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import restore_any
from keepface.image.files import encode_photo, photo_from_bytes
from keepface.web import album as module
from keepface.web.settings import ServeSettings

from ..engine.plain_restorer import PlainRestorer
from ..methods.pfstorer_toy import save_opened
from .conftest import EXAMPLES, Server, Servers, noise

OLD, ONE, TWO = (EXAMPLES / name for name in ("old.png", "reference-1.jpg", "reference-2.jpg"))


def send(server: Server, photos: list[tuple[str, bytes]], **options: Any) -> Any:
    files = [("photos", photo) for photo in photos] + [("references", ("ref.jpg", ONE.read_bytes()))]
    return server.post("/v1/albums", files=files, data={"options": json.dumps(options)})


def unzipped(server: Server, key: str) -> dict[str, bytes]:
    response = server.get(f"/v1/jobs/{key}/download")
    assert response.status_code == 200 and response.headers["content-type"] == "application/zip"
    packed = zipfile.ZipFile(io.BytesIO(response.content))
    assert packed.testzip() is None
    return {name: packed.read(name) for name in packed.namelist()}


def test_an_album_comes_back_as_a_zip_and_a_bad_photo_stops_nothing(server: Server, restorer: PlainRestorer) -> None:
    photos = [("old.png", OLD.read_bytes()), ("letter.jpg", b"Dear Anna"), ("hill.gif", noise(form="GIF"))]
    job = server.finished(send(server, photos, keep_worse=True, only=["1"], seed=2))
    assert (job["state"], job["kind"], job["done"], job["total"]) == ("done", "album", 3, 3)
    rows = {row["name"]: row for row in job["rows"]}
    assert [row["output"] for row in job["rows"]] == ["old.png", None, "hill.gif.png"]
    assert rows["letter.jpg"]["error"].startswith("letter.jpg: is no picture")
    assert rows["hill.gif"]["faces"][0]["reason"] == "no face"
    found = unzipped(server, job["key"])
    expected = restore_any(restorer, OLD, [ONE], RestoreSettings(keep_worse=True, choice=Choice(only=("1",))), 2)
    got = photo_from_bytes(found["old.png"])
    assert list(found) == ["old.png", "hill.gif.png"]
    assert torch.equal(got.pixels, photo_from_bytes(encode_photo(expected.image, "PNG")).pixels)


def test_photos_of_one_name_do_not_replace_each_other(server: Server) -> None:
    photos = [("a/x.png", noise(1)), ("b/x.png", noise(2)), ("X.PNG", noise(3))]
    found = unzipped(server, server.finished(send(server, photos))["key"])
    assert found == {"x.png": noise(1), "x (2).png": noise(2), "X (3).PNG": noise(3)}


def test_an_album_that_is_stopped_keeps_what_was_done(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    server = servers()
    first, go_on = threading.Event(), threading.Event()
    whole = module._row

    def slowly(*given: Any) -> Any:
        row = whole(*given)
        if first.is_set():
            go_on.wait(10)
        first.set()
        return row

    monkeypatch.setattr(module, "_row", slowly)
    key = send(server, [(f"{number}.png", noise(number)) for number in range(12)]).json()["key"]
    assert first.wait(20)
    assert server.post(f"/v1/jobs/{key}/stop").status_code == 200
    go_on.set()
    server.jobs.wait(key)
    job = server.get(f"/v1/jobs/{key}").json()
    found = unzipped(server, key)
    assert job["state"] == "stopped" and 1 <= len(job["rows"]) < 12
    assert sorted(found) == sorted(row["output"] for row in job["rows"])


def test_an_album_of_which_nothing_could_be_done_has_no_zip(server: Server) -> None:
    job = server.finished(send(server, [("letter.jpg", b"Dear Anna")]))
    response = server.get(f"/v1/jobs/{job['key']}/download")
    assert response.status_code == 409 and "nothing to download" in response.json()["error"]


def test_too_many_photos_are_refused(servers: Servers) -> None:
    server = servers(ServeSettings(photos=3))
    response = send(server, [(f"{number}.png", noise()) for number in range(4)])
    assert response.status_code == 413 and "3 files" in response.json()["error"]


def test_deleting_an_album_deletes_its_files(server: Server) -> None:
    key = server.finished(send(server, [("x.png", noise())]))["key"]
    assert [path.name for path in server.workshop.shelf.folder.rglob("*.zip")] == ["album.zip"]
    assert server.delete(f"/v1/jobs/{key}").status_code == 204
    assert [path for path in server.workshop.shelf.folder.rglob("*") if path.name != ".turn"] == []
    assert server.get(f"/v1/jobs/{key}/download").status_code == 404


def test_only_an_album_has_a_zip_and_only_a_restoration_a_picture(server: Server) -> None:
    album = server.finished(send(server, [("x.png", noise())]))
    photo = server.finished(
        server.post("/v1/restorations", files={"photo": noise()}, data={"options": '{"everybody": false}'})
    )
    assert server.get(f"/v1/jobs/{photo['key']}/download").status_code == 404
    assert server.get(f"/v1/restorations/{album['key']}").status_code == 404
    assert [job["kind"] for job in server.get("/v1/jobs").json()["jobs"]] == ["album", "restoration"]


def test_where_the_family_learns_nobody_a_training_is_refused(servers: Servers, tiny_family_folder: Path) -> None:
    server = servers(ServeSettings(family=str(tiny_family_folder)))
    files = {"photos": ("1.jpg", ONE.read_bytes())}
    key = server.post("/v1/people", data={"name": "anna"}, files=files).json()["person"]["key"]
    response = server.post("/v1/trainings", json={"person": key})
    assert response.status_code == 422 and "has no pfstorer base" in response.json()["error"]
    assert server.post("/v1/trainings", json={"person": "0" * 16}).status_code == 404


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny family with PFStorer's base."""
    folder: Path = tmp_path_factory.mktemp("families") / "led"
    save_opened(folder)
    return folder


def test_a_person_is_learned_and_leads_and_is_forgotten(servers: Servers, learning: Path) -> None:
    server = servers(ServeSettings(family=str(learning)))
    server.workshop._load = server.workshop._from_pretrained
    assert server.get("/v1/health").json()["methods"] == ["guided", "pfstorer"]
    files = [("photos", (path.name, path.read_bytes())) for path in (ONE, TWO)]
    key = server.post("/v1/people", data={"name": "anna"}, files=files).json()["person"]["key"]
    asked = {"method": "pfstorer", "person": key, "steps": 1, "tile": False, "keep_worse": True}
    photo = {"photo": ("old.png", OLD.read_bytes())}
    untrained = server.finished(server.post("/v1/restorations", files=photo, data={"options": json.dumps(asked)}))
    assert untrained["state"] == "failed" and "was not trained" in untrained["error"]
    job = server.finished(server.post("/v1/trainings", json={"person": key, "steps": 2}))
    assert (job["state"], job["done"], job["total"]) == ("done", 2, 2), job
    assert job["training"]["is_new"] is True
    assert server.get(f"/v1/people/{key}").json()["adapters"] == [job["training"]["adapter"]]
    led = server.finished(server.post("/v1/restorations", files=photo, data={"options": json.dumps(asked)}))
    assert led["state"] == "done", led
    alone = server.post("/v1/restorations", files=photo, data={"options": '{"method": "pfstorer", "everybody": false}'})
    assert alone.status_code == 422 and "name a person" in alone.json()["error"]
    assert server.delete(f"/v1/people/{key}").json()["adapters"] == 1
    assert server.get("/v1/jobs").json() == {"jobs": []}
