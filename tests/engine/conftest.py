import pytest

from .plain_restorer import PlainRestorer, load_restorer


@pytest.fixture(scope="session")
def networks() -> PlainRestorer:
    return load_restorer()


@pytest.fixture
def restorer(networks: PlainRestorer) -> PlainRestorer:
    return PlainRestorer(networks.embedder, networks.judge)
