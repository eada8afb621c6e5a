"""The page's own ways in, past its looks: uploads and files asked for by hand."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="needs keepface[web]")

from fastapi.testclient import TestClient

from keepface.web.app import make_app
from keepface.web.settings import ServeSettings

from ..engine.plain_restorer import PlainRestorer
from .conftest import HERE, Server, Servers
from .hostile import NAMES, noisy, saved

pytestmark = pytest.mark.filterwarnings(  # Gradio leaves event loops and sockets to the garbage collector
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
UPLOAD = "/gradio_api/upload"
FILES = (
    "/etc/passwd",
    "../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "C:%5cWindows%5cwin.ini",
    "http://evil.example/x",
    "file:///etc/passwd",
    "/proc/self/environ",
)


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory, networks: PlainRestorer) -> Iterator[Server]:
    """A server with the page."""
    patch = pytest.MonkeyPatch()
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        patch.setenv(name, os.environ.get(name, ""))  # so that it is put back
    servers = Servers(tmp_path_factory.mktemp("paged"), PlainRestorer(networks.embedder, networks.judge))
    server = servers(ServeSettings(upload_mib=1, album_mib=3, rate_per_minute=10**6))
    app = make_app(server.workshop, server.jobs, server.settings)
    with TestClient(app, HERE, raise_server_exceptions=False) as client:
        server.client = client
        yield server
    servers.close()
    patch.undo()
    del server, app, client
    gc.collect()  # here, where the warnings are Gradio's


def test_the_page_is_served_and_the_api_before_it(paged: Server) -> None:
    page = paged.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    methods = paged.get("/v1/health").json()["methods"]
    assert methods == [
        "guided",
        "faceme",
        "ridfr",
        "pfstorer",
    ]  # the one without a family, and what the bundled one has
    assert paged.get("/v1/nowhere").status_code == 404


def test_files_of_the_machine_can_not_be_had(paged: Server) -> None:
    own = [*paged.folder.rglob("library.json"), *paged.folder.rglob(".turn"), Path(__file__)]
    for path in (*FILES, *(str(path) for path in own)):
        for way in (f"/gradio_api/file={path}", f"/gradio_api/file/{path}", f"/file={path}"):
            response = paged.client.get(way, follow_redirects=False)
            assert response.status_code in (400, 403, 404, 422), (way, response.status_code)
            assert b"root:" not in response.content and b"PATH=" not in response.content


def test_uploads_to_the_page_stay_in_the_private_folder_under_harmless_names(paged: Server) -> None:
    picture = saved(noisy(), "PNG")
    before = {path for path in paged.folder.parent.rglob("*") if paged.workshop.shelf.page not in path.parents}
    for name in NAMES:
        response = paged.post(UPLOAD, files={"files": (name, picture)})
        assert response.status_code in (200, 400, 422, 500), name
        for path in response.json() if response.status_code == 200 else ():
            assert Path(path).resolve().is_relative_to(paged.workshop.shelf.page.resolve())
    after = {path for path in paged.folder.parent.rglob("*") if paged.workshop.shelf.page not in path.parents}
    assert after == before


def test_uploads_to_the_page_have_the_limits_of_the_api(paged: Server) -> None:
    assert paged.post(UPLOAD, files={"files": ("x.png", bytes(2 << 20))}).status_code == 413
    files = [("files", (f"{number}.png", bytes(900_000))) for number in range(6)]
    assert paged.post(UPLOAD, files=files).status_code == 413
    endless = iter(
        [b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n', *[bytes(65536)] * 100]
    )
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert paged.post(UPLOAD, content=endless, headers=kind).status_code == 413
    assert (
        paged.post(UPLOAD, files={"files": ("x.png", b"x")}, headers={"origin": "https://evil.example"}).status_code
        == 403
    )
    assert paged.get("/v1/health").status_code == 200


def test_forgetting_clears_what_the_page_kept(paged: Server) -> None:
    paged.post(UPLOAD, files={"files": ("x.png", saved(noisy(), "PNG"))})
    assert any(path.is_file() for path in paged.workshop.shelf.page.rglob("*"))
    paged.workshop.shelf.clear_page()
    assert not any(path.is_file() for path in paged.workshop.shelf.page.rglob("*"))
