"""The API does what its OpenAPI document says, whatever is asked: schemathesis, against a real relay under load."""

from __future__ import annotations

import json
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from relay.admin.token import TOKEN_FILE
from tests.support.relay import assert_books, environment, relay_process

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STREAMS = ("/api/v1/windows", "/api/v1/tap")
"""They end with the client."""


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    """A relay with a rule, and lines that came over its socket."""
    directory = tmp_path_factory.mktemp("schema")
    rules = json.dumps([{"match": "web.*.count", "metric": "web.count"}])
    environ = environment("http://127.0.0.1:9", directory / "state", RULE=rules, CLOUD_TIMEOUT="1s")
    with relay_process(environ, directory / "log") as running:
        running.send(*(b"web.%d.count:1|c|#a:%d\nbad" % (number % 7, number) for number in range(200)))
        yield running


def document(relay) -> dict:
    with urllib.request.urlopen(f"http://{relay.admin}/api/v1/openapi.json", timeout=10) as answer:
        return json.load(answer)


def test_the_document_has_every_route_below_api(relay):
    paths = document(relay)["paths"]
    assert {"/api/v1/", "/api/v1/rules", "/api/v1/series", "/api/v1/dead-letters/replay"} <= paths.keys()
    assert all(one.startswith("/api/v1/") for one in paths)
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"].endswith("."), path
            assert "200" in operation["responses"], path


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("has_token", [True, False])
def test_every_answer_is_in_the_document(relay, has_token, mode):
    token = Path(relay.environ["STATSD_RELAY_SPOOL_PATH"], TOKEN_FILE).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"} if has_token else {}
    tried = 0
    for result in schemathesis.openapi.from_dict(document(relay)).get_all_operations():
        operation = result.ok()
        if operation.path not in STREAMS and (mode is GenerationMode.POSITIVE or takes_something(operation)):
            with suppress(Unsatisfiable):  # of some operations nothing wrong can be made
                ask_often(operation, f"http://{relay.admin}", headers=headers, mode=mode)
                tried += 1
    assert tried > 5
    assert_books(relay.metrics())


def takes_something(operation) -> bool:
    return bool(list(operation.iter_parameters()))


def ask_often(operation, url: str, *, headers: dict[str, str], mode: GenerationMode) -> None:
    @settings(max_examples=20, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.validate_response(case.call(base_url=url, headers=headers, timeout=20), checks=CHECKS)

    ask()
