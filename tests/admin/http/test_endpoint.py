"""The common form of the API's routes: parameters, access, errors."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from types import SimpleNamespace

import msgspec
import pytest

from relay.admin.http.endpoint import ApiError, Endpoint
from relay.admin.http.server import AdminServer
from relay.listener.addresses import Address
from relay.listener.admin_sockets import AdminSockets


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    top: int = 20
    by: str = ""


class Answer(msgspec.Struct, frozen=True):
    top: int


async def handle(_, parameters):
    if parameters.top == 7:
        raise ApiError(409, "seven is taken", fix="ask for eight", code="RLY101")
    return Answer(parameters.top)


ENDPOINT = Endpoint(path="/api/v1/x", summary="", handle=handle, parameters=Parameters, answer=Answer)


async def get(query="", headers=None):
    """Return the status and the body of the endpoint's answer to a query."""
    status = SimpleNamespace(healthy=None, ready=None)
    sockets = AdminSockets([Address("127.0.0.1", 0)])
    server = AdminServer(sockets=sockets, relay=SimpleNamespace(status=status), routes=[ENDPOINT.route()])
    await server.start()
    try:
        url = f"http://127.0.0.1:{server.bound[1]}/api/v1/x{query}"
        return await asyncio.to_thread(fetch, urllib.request.Request(url, headers=headers or {}))
    finally:
        await server.stop()


def fetch(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_parameters_have_types_and_defaults():
    assert await get("?top=3") == (200, {"top": 3})
    assert await get() == (200, {"top": 20})


@pytest.mark.parametrize(
    ("query", "message", "fix"),
    [
        ("?tpo=3", "unknown parameter tpo", "the parameters are top, by"),
        ("?top=x", "Expected `int`, got `str` - at `$.top`", ""),
        ("?top=1&top=2", "parameter top is given more than once", "give it once"),
    ],
)
async def test_a_wrong_query_is_a_bad_request(query, message, fix):
    assert await get(query) == (400, {"error": {"code": "bad_request", "message": message, "fix": fix}})


async def test_an_error_has_code_message_and_fix():
    expected = {"code": "RLY101", "message": "seven is taken", "fix": "ask for eight"}
    assert await get("?top=7") == (409, {"error": expected})


async def test_a_foreign_page_gets_an_error_as_json():
    status, answer = await get(headers={"Origin": "http://evil.example"})
    assert (status, answer["error"]["code"]) == (403, "forbidden")
