"""Two hundred malformed and hostile uploads: the promised answer to each, the server alive, nothing written outside."""

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keepface.web.settings import ServeSettings

from ..engine.plain_restorer import PlainRestorer
from .conftest import Server, Servers
from .hostile import GOOD, NAMES, Attack, attacks

ATTACKS = {attack.name: attack for attack in attacks()}
PATHS = (
    "/v1/people/../../etc/passwd",
    "/v1/people/%2e%2e%2f%2e%2e%2flibrary.json",
    "/v1/people/..%5c..%5clibrary.json",
    "/v1/people/%00",
    "/v1/people/" + "x" * 5000,
    "/v1/people/0123456789abcdef/photos/..%2f..%2fperson.json/thumbnail",
    "/v1/restorations/..%2f..%2flibrary.json/picture",
    "/v1/restorations/%F0%9F%99%82",
    "/v1/jobs/../../../etc/passwd/download",
    "/v1/jobs/serve-/download",
    "/v1/nowhere",
    "/..%2f..%2fetc/passwd",
    "//etc/passwd",
    "/library/library.json",
    "/serve",
    "/docs",
    "/openapi.json",
    "/.git/config",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that holds all that the server can reach by habit: its home, its temporary folder, where it stands."""
    folder: Path = tmp_path_factory.mktemp("world")
    patch = pytest.MonkeyPatch()
    for name in ("home", "tmp", "here", "own"):
        (folder / name).mkdir()
    (folder / "home" / "letter.txt").write_text("dear anna")
    for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        patch.setenv(variable, str(folder / ("tmp" if variable == "TMPDIR" else "home")))
    patch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    patch.chdir(folder / "here")
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def attacked(world: Path, networks: PlainRestorer) -> Iterator[Server]:
    servers = Servers(world / "own", PlainRestorer(networks.embedder, networks.judge))
    yield servers(ServeSettings(upload_mib=4, album_mib=64, photos=30, queue=1000, rate_per_minute=10**6))
    servers.close()


def outside(world: Path) -> dict[str, bytes | None]:
    """List what lies outside the server's own folder, with what is in it."""
    tops = [path for path in world.iterdir() if path.name != "own"]
    found = [*tops, *(path for top in tops for path in top.rglob("*"))]
    return {str(path.relative_to(world)): path.read_bytes() if path.is_file() else None for path in found}


def below(server: Server) -> list[Path]:
    """List what lies in the server's own folder and belongs to nothing."""
    return [path for path in server.folder.rglob("*") if path.is_file() and path.name not in (".turn", "library.json")]


def check(server: Server, response: Any, world: Path, before: dict[str, bytes | None]) -> None:
    """See that an answer is one of ours, and that the world is as it was."""
    assert "Traceback" not in response.text and str(server.folder) not in response.text
    if response.status_code >= 400:
        told = response.json()
        assert set(told) == {"error", "where"} and len(told["error"]) > 5 and str(world) not in response.text
    assert server.get("/v1/health").status_code == 200
    assert outside(world) == before


def test_there_are_two_hundred_of_them() -> None:
    assert len(ATTACKS) >= 200


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=lambda attack: attack.name)
def test_every_hostile_upload_gets_its_promised_answer(attack: Attack, attacked: Server, world: Path) -> None:
    before = outside(world)
    headers = {"content-type": attack.kind.encode("latin-1")} if attack.kind else {}
    response = attacked.client.post(attack.path, content=attack.body, headers={**headers, **attack.headers})
    check(attacked, response, world, before)
    assert response.status_code in attack.statuses, response.text
    for job in attacked.jobs.all():
        attacked.jobs.wait(job.key)
        assert job.state == "done" or "(" not in (job.error or "("), job.error
        response = attacked.get(f"/v1/restorations/{job.key}")
        assert "/" not in (response.json()["name"] or "") and "\\" not in (response.json()["name"] or "")
        response = attacked.get(f"/v1/restorations/{job.key}/picture")
        assert response.status_code == 200 and response.headers["content-type"].startswith("image/")
        attacked.jobs.remove(job.key)
    assert below(attacked) == [] and outside(world) == before


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_climb_lead_nowhere(path: str, attacked: Server, world: Path) -> None:
    before = outside(world)
    for call in (attacked.client.get, attacked.client.delete):
        response = call(path)
        assert response.status_code in (404, 405), response.text
        check(attacked, response, world, before)


def test_an_album_of_hostile_names_comes_back_without_folders(attacked: Server, world: Path) -> None:
    before = outside(world)
    names = [name for name in NAMES if "\x00" not in name][:28]
    files = [("photos", (name, GOOD)) for name in names] + [
        ("photos", ("x.png", b"MZ")),
        ("photos", ("y.png", GOOD[:40])),
    ]
    job = attacked.finished(attacked.post("/v1/albums", files=files, data={"options": '{"everybody": false}'}))
    assert job["state"] == "done" and len(job["rows"]) == 30
    assert [row["output"] is None for row in job["rows"]] == [False] * 28 + [True] * 2
    assert not any(str(world) in (row["error"] or "") for row in job["rows"])
    packed = zipfile.ZipFile(io.BytesIO(attacked.get(f"/v1/jobs/{job['key']}/download").content))
    written = packed.namelist()
    assert len({name.casefold() for name in written}) == len(written) == 28
    assert not any(os.sep in name or "\\" in name or name.startswith(".") or ":" in name[:2] for name in written)
    assert all(packed.read(name) == GOOD for name in written)
    attacked.jobs.remove(job["key"])
    assert below(attacked) == [] and outside(world) == before
