"""The common form of the API's routes: parameters, access, errors."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

import msgspec
import pytest

from relay.admin.http.endpoint import ApiError, Endpoint, NoParameters, read_body
from relay.admin.http.server import BODY_BYTES
from tests.support.admin_port import fetch, serving


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    top: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    by: Literal["a", "b"] = "a"


class Answer(msgspec.Struct, frozen=True):
    top: int


async def handle(_, parameters):
    if parameters.top == 7:
        raise ApiError(409, "seven is taken", fix="ask for eight", code="RLY101")
    return Answer(parameters.top)


ENDPOINT = Endpoint(path="/api/v1/x", summary="", handle=handle, parameters=Parameters, answer=Answer)


async def get(query="", headers=None):
    """Return the status and the body of the endpoint's answer to a query."""
    async with serving([ENDPOINT]) as address:
        status, _, body = await fetch(address, f"/api/v1/x{query}", headers=headers)
    return status, body


async def test_parameters_have_types_and_defaults():
    assert await get("?top=3") == (200, {"top": 3})
    assert await get() == (200, {"top": 20})


@pytest.mark.parametrize(
    ("query", "message", "fix"),
    [
        ("?tpo=3", "unknown parameter tpo", "the parameters are top, by"),
        ("?top=x", "top must be a whole number", ""),
        ("?top=0", "top must be a whole number, at least 1", ""),
        ("?top=1001", "top must be a whole number, at most 1000", ""),
        ("?by=c", "by must be a or b", ""),
        ("?top=1&top=2", "parameter top is given more than once", "give it once"),
    ],
)
async def test_a_wrong_query_is_a_bad_request(query, message, fix):
    assert await get(query) == (400, {"error": {"code": "bad_request", "message": message, "fix": fix, "problems": []}})


async def test_an_error_has_code_message_and_fix():
    expected = {"code": "RLY101", "message": "seven is taken", "fix": "ask for eight", "problems": []}
    assert await get("?top=7") == (409, {"error": expected})


async def test_a_foreign_page_gets_an_error_as_json():
    status, answer = await get(headers={"Origin": "http://evil.example"})
    assert (status, answer["error"]["code"]) == (403, "forbidden")


async def read(request, _):
    return Answer((await read_body(request, Parameters)).top)


POST = Endpoint(path="/api/v1/y", summary="", handle=read, parameters=NoParameters, method="POST", body=Parameters)


@pytest.mark.parametrize(
    ("path", "method", "body", "status", "message"),
    [
        ("/api/v1/z", "GET", None, 404, "unknown path"),
        ("/api/v1/", "GET", None, 404, "unknown path"),
        ("/api/v1/x", "DELETE", None, 405, "this path does not answer DELETE"),
        ("/api/v1/x", "HEAD", None, 405, None),
        ("/api/v1/y", "GET", None, 405, "this path does not answer GET"),
        ("/api/v1/y", "POST", b"x" * (BODY_BYTES + 1), 413, f"the body is over {BODY_BYTES} bytes"),
        ("/api/v1/y", "POST", b"{", 400, "Input data was truncated"),
        ("/api/v1/y", "POST", b'{"pot":1}', 400, "Object contains unknown field `pot`"),
        ("/api/v1/y?a=1", "POST", b"{}", 400, "unknown parameter a"),
    ],
)
async def test_every_error_below_api_is_json(path, method, body, status, message):
    async with serving([ENDPOINT, POST]) as address:
        found, headers, answer = await fetch(address, path, method=method, body=body)
    assert (found, headers.get_content_type(), headers["Server"]) == (status, "application/json", "statsd-relay")
    assert (status != 405) or headers["Allow"] in ("GET", "POST")
    assert method == "HEAD" or answer["error"]["message"] == message


async def test_a_body_that_does_not_come_is_a_timeout(monkeypatch):
    monkeypatch.setattr("relay.admin.console.protocol_mux._BODY_SECONDS", 0.1)
    async with serving([POST]) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /api/v1/y HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{")
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readuntil(b"}}")
        writer.close()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "timeout"


async def test_errors_elsewhere_are_text():
    async with serving([ENDPOINT]) as address:
        status, headers, answer = await fetch(address, "/nothing")
    assert (status, answer, headers["Server"]) == (404, "404: Not Found", "statsd-relay")
