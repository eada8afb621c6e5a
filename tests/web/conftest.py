"""A server of the real application in this process, with real detector, recognisers, library and files."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs keepface[web]")
pytest.importorskip("python_multipart", reason="needs keepface[web]")
pytest.importorskip("uvicorn", reason="needs keepface[web]")

from fastapi.testclient import TestClient

from keepface.people.features import Networks
from keepface.people.store import open_library
from keepface.web.app import make_app
from keepface.web.jobs import Jobs
from keepface.web.settings import ServeSettings
from keepface.web.workshop import Workshop

from ..engine.plain_restorer import PlainRestorer, load_restorer

HERE = "http://127.0.0.1:7878"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def noise(seed: int = 0, size: tuple[int, int] = (48, 64), form: str = "PNG") -> bytes:
    """Make the bytes of a picture without a face."""
    values = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, form)
    return out.getvalue()


@dataclass(eq=False)
class Server:
    """The application and a client that calls it."""

    workshop: Workshop
    jobs: Jobs
    settings: ServeSettings
    client: TestClient
    folder: Path  # all that it may write lies below

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def post(self, path: str, **more: Any) -> Any:
        return self.client.post(path, **more)

    def delete(self, path: str) -> Any:
        return self.client.delete(path)

    def finished(self, response: Any) -> Any:
        """Wait for the job that an answer tells of, and return how it stands."""
        assert response.status_code == 202, response.text
        key = response.json()["key"]
        self.jobs.wait(key)
        return self.get(f"/v1/jobs/{key}").json()


class Servers:
    """Makes servers, and closes them at the end."""

    def __init__(self, folder: Path, restorer: PlainRestorer) -> None:
        self._folder, self._restorer, self._open = folder, restorer, list[Server]()

    def __call__(self, settings: ServeSettings | None = None, base: str = HERE) -> Server:
        settings = replace(settings or ServeSettings(), folder=self._folder / "serve", cache=self._folder / "cache")
        library = open_library(self._folder / "library", lambda: "")
        known = Networks(self._restorer.embedder, self._restorer.judge)
        workshop = Workshop(library, settings, lambda _: self._restorer, lambda: known)
        jobs = Jobs(settings, workshop.hidden)
        client = TestClient(make_app(workshop, jobs, settings, has_page=False), base, raise_server_exceptions=False)
        server = Server(workshop, jobs, settings, client, self._folder)
        self._open.append(server)
        return server

    def close(self) -> None:
        for server in self._open:
            server.jobs.close()
            server.workshop.close()


@pytest.fixture(scope="session")
def networks() -> PlainRestorer:
    return load_restorer()


@pytest.fixture
def restorer(networks: PlainRestorer) -> PlainRestorer:
    return PlainRestorer(networks.embedder, networks.judge)


@pytest.fixture
def servers(tmp_path: Path, restorer: PlainRestorer) -> Iterator[Servers]:
    made = Servers(tmp_path, restorer)
    yield made
    made.close()


@pytest.fixture
def server(servers: Servers) -> Server:
    return servers()
