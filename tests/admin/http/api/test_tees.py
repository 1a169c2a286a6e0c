"""A temporary tee over the admin port."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest

from tests.support.inprocess import open_relay
from tests.support.targets import Daemon


async def ask(running, body: object, **headers: str) -> tuple[int, object]:
    host, port = running.relay.admin.bound
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def post() -> tuple[int, object]:
        request = urllib.request.Request(f"http://{host}:{port}/api/v1/tee", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(post)


async def test_a_temporary_tee_copies_until_it_ends(tmp_path):
    async with open_relay(tmp_path) as running:
        with Daemon() as daemon:
            wanted = {"to": daemon.to, "seconds": 60}
            assert await ask(running, wanted) == (200, {"datagrams": 0, "dropped": 0})
            await running.feed(b"a:1|c", b"not a line")
            assert await asyncio.to_thread(daemon.received, 2) == [b"a:1|c", b"not a line"]
            assert await ask(running, {**wanted, "seconds": 1}) == (200, {"datagrams": 2, "dropped": 0})
            await asyncio.sleep(1.1)
            await running.feed(b"b:1|c")
            assert daemon.received() == []
            metrics = await ask_metrics(running)
    assert "relay_tee_datagrams_total{" not in metrics, "a temporary tee is not in the configuration"


async def ask_metrics(running) -> str:
    host, port = running.relay.admin.bound

    def get() -> str:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    return await asyncio.to_thread(get)


REFUSED = {
    "not JSON": (b"to me", "malformed"),
    "no target": ({"seconds": 1}, "`to`"),
    "too long": ({"to": "127.0.0.1:1", "seconds": 61}, "seconds"),
    "too short": ({"to": "127.0.0.1:1", "seconds": 0.5}, "seconds"),
    "another key": ({"to": "127.0.0.1:1", "seconds": 1, "x": 1}, "x"),
    "no port": ({"to": "127.0.0.1", "seconds": 1}, "HOST:PORT"),
    "another machine": ({"to": "192.0.2.1:8125", "seconds": 1}, "address of this machine"),
    "a name": ({"to": "localhost:8125", "seconds": 1}, "address of this machine"),
}


async def test_invalid_requests_are_refused_with_a_sentence(tmp_path):
    async with open_relay(tmp_path) as running:
        for body, why in REFUSED.values():
            status, text = await ask(running, body)
            assert (status, why in text) == (400, True), text
        own = running.relay.listeners[0].bound
        status, text = await ask(running, {"to": f"{own[0]}:{own[1]}", "seconds": 1})
        assert (status, "our own" in text) == (400, True)


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
async def test_only_for_this_machine(tmp_path, headers):
    async with open_relay(tmp_path) as running:
        status, _ = await ask(running, {"to": "127.0.0.1:1", "seconds": 1}, **headers)
    assert status == 403
