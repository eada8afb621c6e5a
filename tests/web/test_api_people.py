"""/v1/people: what goes into the library, what is told of it, and that forgetting leaves nothing."""

import io
import json
from pathlib import Path

from PIL import Image

from keepface.people.store import open_library

from .conftest import EXAMPLES, Server, noise

ONE, TWO = (EXAMPLES / f"reference-{number}.jpg" for number in (1, 2))


def add(server: Server, name: str = "Änne", **fields: str) -> dict:
    files = [("photos", (path.name, path.read_bytes())) for path in (ONE, TWO)]
    response = server.post("/v1/people", data={"name": name, **fields}, files=files)
    assert response.status_code == 201, response.text
    return response.json()


def test_a_person_is_made_of_photos_and_shown_with_their_notes(server: Server) -> None:
    added = add(server, relation="aunt", birth_year="1931", consent="said yes")
    assert added["accepted"] == ["reference-1.jpg", "reference-2.jpg"] and added["refused"] == []
    person = server.get(f"/v1/people/{added['person']['key']}").json()
    assert person == added["person"]
    assert (person["name"], person["notes"]["relation"], person["notes"]["birth_year"]) == ("Änne", "aunt", 1931)
    assert [photo["name"] for photo in person["photos"]] == added["accepted"]
    assert [item["key"] for item in server.get("/v1/people").json()["people"]] == [person["key"]]


def test_the_library_is_the_one_of_the_command_line_and_holds_the_very_bytes(server: Server) -> None:
    add(server)
    library = open_library(server.folder / "library", lambda: "")
    (person,) = library.people()
    assert [library.photo_bytes(person, photo) for photo in person.photos] == [ONE.read_bytes(), TWO.read_bytes()]


def test_photos_that_are_refused_say_why_and_the_others_go_in(server: Server) -> None:
    add(server)
    files = [
        ("photos", ("../../hill.png", noise())),
        ("photos", ("again.jpg", ONE.read_bytes())),
        ("photos", ("letter.jpg", b"Dear Anna")),
    ]
    told = server.post("/v1/people", data={"name": "änne"}, files=files).json()
    assert told["duplicates"] == [{"name": "again.jpg", "reason": "is the same file as reference-1.jpg"}]
    assert [item["name"] for item in told["refused"]] == ["hill.png", "letter.jpg"]
    assert "no face was found" in told["refused"][0]["reason"] and "is no picture" in told["refused"][1]["reason"]
    assert len(told["person"]["photos"]) == 2


def test_somebody_of_whom_no_photo_can_be_used_is_not_made(server: Server) -> None:
    response = server.post("/v1/people", data={"name": "anna"}, files={"photos": ("hill.png", noise())})
    assert response.status_code == 422 and response.json()["where"] == "photos"
    assert "hill.png: no face was found" in response.json()["error"]
    assert server.get("/v1/people").json() == {"people": []}


def test_names_and_years_that_can_not_be_name_their_part(server: Server) -> None:
    for fields, where in (
        ({"name": "../anna"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({}, "name"),
        ({"name": "anna", "birth_year": "soon"}, "birth_year"),
        ({"name": "anna", "birth_year": "9000"}, "birth_year"),
        ({"name": "anna", "year": "9000"}, "year"),
        ({"name": "anna", "sure": "perhaps"}, "sure"),
    ):
        response = server.post("/v1/people", data=fields, files={"photos": ("1.jpg", ONE.read_bytes())})
        assert (response.status_code, response.json()["where"]) == (422, where), response.text
    assert server.get("/v1/people").json() == {"people": []}


def test_a_thumbnail_is_a_small_jpeg_of_the_photo(server: Server) -> None:
    person = add(server)["person"]
    path = f"/v1/people/{person['key']}/photos/{person['photos'][0]['key']}/thumbnail"
    response = server.get(path, params={"side": 64})
    picture, whole = Image.open(io.BytesIO(response.content)), Image.open(io.BytesIO(ONE.read_bytes()))
    assert (response.headers["content-type"], picture.format, max(picture.size)) == ("image/jpeg", "JPEG", 64)
    assert abs(picture.width / picture.height - whole.width / whole.height) < 0.05
    assert server.get(path, params={"side": 5000}).status_code == 422
    assert server.get(path.replace(person["photos"][0]["key"], "0" * 16)).status_code == 404


def test_the_doctor_speaks_of_every_photo(server: Server) -> None:
    person = add(server)["person"]
    check = server.get(f"/v1/people/{person['key']}/check").json()
    assert [photo["name"] for photo in check["photos"]] == ["reference-1.jpg", "reference-2.jpg"]
    assert check["add_next"] and check["not_checked"]


def test_whoever_is_forgotten_leaves_no_file_and_no_result(server: Server) -> None:
    key = add(server)["person"]["key"]
    photo, options = (EXAMPLES / "old.png").read_bytes(), json.dumps({"person": key})
    job = server.finished(server.post("/v1/restorations", files={"photo": photo}, data={"options": options}))
    assert job["state"] == "done", job
    gone = server.delete(f"/v1/people/{key}")
    assert gone.json() == {"name": "Änne", "photos": 2, "adapters": 0, "links": 0}
    assert server.get(f"/v1/people/{key}").status_code == server.delete(f"/v1/people/{key}").status_code == 404
    assert server.get(f"/v1/restorations/{job['key']}").status_code == 404
    left = {path.name for path in server.folder.rglob("*") if path.is_file()}
    assert left == {"library.json", ".turn"}
    assert not any(ONE.read_bytes() in path.read_bytes() for path in files(server.folder))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
