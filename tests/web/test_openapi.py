"""The API against its own description: whatever it says may be sent is sent, and answered as it says."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="needs keepface[dev]")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, openapi
from schemathesis.specs.openapi import checks

from keepface.web.api import DESCRIPTION
from keepface.web.desk import ALWAYS
from keepface.web.guard import FORMS
from keepface.web.settings import ServeSettings

from ..engine.plain_restorer import PlainRestorer
from .conftest import EXAMPLES, HERE, Server, Servers, noise

CHECKS = (
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
)
OLD, REFERENCE = EXAMPLES / "old.png", EXAMPLES / "reference-1.jpg"

openapi.format(
    "binary", st.sampled_from([noise(), noise(1, form="JPEG"), noise()[:60], b"", b"MZ", REFERENCE.read_bytes()])
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, networks: PlainRestorer) -> Iterator[Server]:
    """A server that holds somebody, a restoration and an album."""
    servers = Servers(tmp_path_factory.mktemp("fuzzed"), PlainRestorer(networks.embedder, networks.judge))
    server = servers(ServeSettings(queue=10_000, rate_per_minute=10**6))
    server.post("/v1/people", data={"name": "anna"}, files={"photos": ("1.jpg", REFERENCE.read_bytes())})
    yield server
    servers.close()


@pytest.fixture(scope="module")
def keys(fuzzed: Server) -> dict[str, list[str]]:
    """The keys that lead somewhere, by the first word of their path; people and results may be deleted on the way."""
    (anna,) = fuzzed.get("/v1/people").json()["people"]
    asked = json.dumps({"person": anna["key"], "candidates": 2, "evidence": True})
    files = {"photo": OLD.read_bytes()}
    made = [fuzzed.finished(fuzzed.post("/v1/restorations", files=files, data={"options": asked})) for _ in range(2)]
    album = fuzzed.finished(fuzzed.post("/v1/albums", files={"photos": OLD.read_bytes()}))
    assert {job["state"] for job in (*made, album)} == {"done"}
    return {
        "restorations": [job["key"] for job in made],
        "jobs": [album["key"]],
        "people": [anna["key"]],
        "photo": [anna["photos"][0]["key"]],
    }


@pytest.fixture(scope="module")
def api(fuzzed: Server) -> Any:
    return openapi.from_asgi(DESCRIPTION, fuzzed.client.app, headers={"host": "127.0.0.1"})


def fuzz(call: Any, keys: dict[str, list[str]]) -> None:
    """Make a call as it is described, and otherwise, with keys that lead nowhere and keys that lead somewhere."""
    drawn = [call.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    checked = CHECKS if call.path in FORMS else (*CHECKS, checks.negative_data_rejection)  # in a form all is text
    word = call.path.split("/")[2]

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(drawn))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=checked, base_url=HERE)
        led = case.path_parameters or {}
        if "key" in led and word in keys and call.method != "delete":
            led |= {"key": keys[word][0]} | ({"photo": keys["photo"][0]} if "photo" in led else {})
            case.call_and_validate(checks=CHECKS, base_url=HERE)

    ask()


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")  # of schemathesis' own making
def test_every_call_is_answered_as_the_description_says(api: Any, fuzzed: Server, keys: dict[str, list[str]]) -> None:
    calls = [found.ok() for found in api.get_all_operations()]
    assert len(calls) == 23
    for call in sorted(calls, key=lambda call: call.method == "delete"):  # what is there goes last
        fuzz(call, keys)
        for job in fuzzed.jobs.all():
            if job.key not in (*keys["restorations"], *keys["jobs"]):
                fuzzed.jobs.remove(job.key)
    assert fuzzed.get("/v1/health").status_code == 200


def test_every_call_names_its_answers_and_its_refusals(server: Server) -> None:
    described = server.get(DESCRIPTION).json()
    error = {"$ref": "#/components/schemas/Error"}
    for path, calls in described["paths"].items():
        assert path.startswith("/v1/")
        for method, call in calls.items():
            answers = call["responses"]
            assert {str(status) for status in ALWAYS} <= set(answers), (method, path)
            refused = {status: told for status, told in answers.items() if status[0] in "45"}
            assert all(told["content"]["application/json"]["schema"] == error for told in refused.values())
            (good,) = set(answers) - set(refused)
            is_empty = good == "204"
            assert is_empty or all(kind["schema"] for kind in answers[good]["content"].values()), (method, path)
            assert call["summary"] and call["description"]


def test_every_name_in_the_description_leads_somewhere(server: Server) -> None:
    described = server.get(DESCRIPTION).json()
    text = json.dumps(described)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(described["components"]["schemas"])
    assert {"RestoreOptions", "AlbumOptions", "FaceKnobs"} <= names
