"""Routes that show names or change something answer this machine alone, whichever page asks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from relay.admin.http.guard import is_loopback, local_only
from relay.admin.http.server import AdminServer
from relay.listener.addresses import Address
from relay.listener.admin_sockets import AdminSockets


async def shown(_: web.Request) -> web.Response:
    return web.Response(text="names")


async def ask(address: tuple[str, int], *headers: str) -> int:
    """Return the status of one request with exactly these headers."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write("\r\n".join(["GET /shown HTTP/1.1", *headers, "Connection: close", "", ""]).encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return int(answer.split()[1])


@asynccontextmanager
async def serving():
    """A server with one guarded route, which does not need a relay."""
    admin = AdminServer(
        sockets=AdminSockets([Address("127.0.0.1", 0)]),
        relay=SimpleNamespace(status=SimpleNamespace(healthy=None, ready=None)),
        routes=[web.get("/shown", local_only(shown))],
        hosts=["relay.EXAMPLE"],
    )
    await admin.start()
    try:
        yield admin.bound
    finally:
        await admin.stop()


STRANGE = [
    "evil.com@127.0.0.1",
    "127.0.0.1%00.evil.com",
    "127.0.0.1/evil",
    "127.0.0.1?evil",
    "127.0.0.1#evil",
    "127.0.0.1:80:90",
    "127.0.0.1:evil",
    "127.0.0.1:",
    "127.0.0.1 evil.com",
    "127.0.0.1,evil.com",
    "user@localhost",
    "[::1]evil.com",
    "[::1%lo]",
    "[127.0.0.1]x",
    "::1",
    "",
]
FORWARDED = [
    "Forwarded: for=192.0.2.7",
    "X-Forwarded-For: 192.0.2.7",
    "x-forwarded-host: evil.example",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 192.0.2.7",
    "Via: 1.1 proxy",
    "X-Original-Forwarded-For: 192.0.2.7",
    "X-Client-IP: 127.0.0.1",
]
ORIGIN = "Origin: http://127.0.0.1:8126"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: 127.0.0.1:8126"], 200),
        (["Host: localhost"], 200),
        (["Host: [::1]:8126"], 200),
        (["Host: Relay.example:8126"], 200),
        (["Host: 127.0.0.1:8126", ORIGIN], 200),
        (["Host: 127.0.0.1:8126", "X-Request-Id: 7", "User-Agent: curl"], 200),
        *((["Host: " + host], 403) for host in STRANGE),
        *((["Host: 127.0.0.1:8126", header], 403) for header in FORWARDED),
        (["Host: evil.example"], 403),
        (["Host: relay.example.evil.example"], 403),
        (["Host: 10.0.0.1:8126"], 403),
        (["Host: 127.0.0.1:8126", "Origin: http://evil.example"], 403),
        (["Host: 127.0.0.1:8126", "Origin: null"], 403),
        (["Host: 127.0.0.1:8126", "Origin: http://127.0.0.1:3000"], 403),
        (["Host: 127.0.0.1:8126", ORIGIN, "Origin: http://evil.example"], 403),
    ],
)
async def test_only_local_requests_are_answered(headers, status):
    async with serving() as address:
        assert await ask(address, *headers) == status


async def test_another_machine_is_refused(monkeypatch):
    async with serving() as address:
        monkeypatch.setattr("relay.admin.http.guard.peer_address", lambda transport: "192.0.2.7")
        assert await ask(address, "Host: 127.0.0.1:8126") == 403


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "10.0.0.1", "::ffff:10.0.0.1", "::", "0.0.0.0", "localhost", "fe80::1%lo"])
def test_not_loopback(address):
    assert not is_loopback(address)
