import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from keepface.cli import app
from keepface.people.features import Networks

from ..engine.plain_restorer import PlainRestorer, load_restorer

Keepface = Callable[..., Result]


@pytest.fixture
def keepface() -> Keepface:
    """Run the command line in this process: `keepface("restore", path, "-o", out)`."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def networks() -> PlainRestorer:
    return load_restorer()


@pytest.fixture
def restorer(networks: PlainRestorer, monkeypatch: pytest.MonkeyPatch) -> PlainRestorer:
    """The plain restorer, and what `keepface restore` loads in this test."""
    from keepface.engine.restorer import Restorer

    plain = PlainRestorer(networks.embedder, networks.judge)
    monkeypatch.setattr(Restorer, "from_pretrained", lambda *_: plain)
    return plain


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: PlainRestorer) -> Path:
    """Put library, cache and temporary files below one folder, and load the recognisers once for all tests."""
    for variable, name in (("KEEPFACE_LIBRARY", "library"), ("XDG_CACHE_HOME", "cache"), ("TMPDIR", "temp")):
        monkeypatch.setenv(variable, str(tmp_path / "all" / name))
    (tmp_path / "all" / "temp").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("KEEPFACE_PASSPHRASE", raising=False)
    loaded = Networks(networks.embedder, networks.judge)
    monkeypatch.setattr(Networks, "load", lambda: loaded)
    return tmp_path / "all"


@pytest.fixture
def results() -> Callable[[Result], list[dict[str, Any]]]:
    """Read what --json printed: one object on stdout and nothing else."""
    return lambda result: json.loads(result.stdout)["results"]
