"""Rows 35 and 36: names that do not resolve or change, and certificates that must not be trusted."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
import threading
import time

import pytest
import trustme
from aiohttp import web

from relay.delivery import transport as module
from relay.delivery.transport import HttpTransport
from relay.errors import TransportError
from relay.resolver import Resolver

HOST = "monitor.test"


def transport(**changes) -> HttpTransport:
    settings = {"timeout": 2.0, "connect_timeout": 1.0, "concurrency": 4, "ca_file": "", "proxy": ""}
    return HttpTransport(**{**settings, **changes})


class Names:
    """A name server: answers with `address`, fails with `error`, or takes `seconds`."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address, self.seconds, self.error, self.asked = address, 0.0, None, 0

    def __call__(self, host, port, *, family, type):  # noqa: A002
        assert threading.current_thread() is not threading.main_thread(), "a lookup must not block the loop"
        self.asked += 1
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]


class Site:
    """A server that counts its requests, with or without TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests, self._tls = 0, tls

    async def _answer(self, _: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(text="here")

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        return self._runner.addresses[0][1]

    @property
    def connections(self) -> int:
        return len(self._runner.server.connections)

    async def stop(self) -> None:
        await self._runner.cleanup()


async def test_row_35_a_name_does_not_resolve(figure):
    names = Names()
    names.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    cloud = transport(resolver=Resolver(names))
    with pytest.raises(TransportError, match="not known") as caught:
        await cloud.post(f"http://{HOST}:1/", {}, b"x")
    assert not caught.value.ambiguous
    await cloud.close()
    figure(35, "NXDOMAIN: not sent, not ambiguous")


async def test_row_35_a_lookup_that_hangs_blocks_nothing_else(figure):
    names = Names()
    names.seconds = 3
    cloud, lag = transport(resolver=Resolver(names), connect_timeout=0.3), 0.0
    await asyncio.to_thread(__import__, "aiohttp")
    began = time.monotonic()
    posting = asyncio.create_task(cloud.post(f"http://{HOST}:1/", {}, b"x"))
    while not posting.done():
        looked = time.monotonic()
        await asyncio.sleep(0.01)
        lag = max(lag, time.monotonic() - looked - 0.01)
    with pytest.raises(TransportError) as caught:
        await posting
    assert not caught.value.ambiguous
    assert time.monotonic() - began < 2.5
    await cloud.close()
    figure(35, f"hanging lookup: given up after {time.monotonic() - began:.1f} s, loop late by {lag * 1000:.0f} ms")


async def test_row_35_a_new_address_is_used(monkeypatch, figure):
    monkeypatch.setattr(module, "_GENERATION_SECONDS", 1.0)
    old, new, names = Site(), Site(), Names("127.0.0.1")
    port = await old.start("127.0.0.1")
    await new.start("127.0.0.2", port)
    cloud = transport(resolver=Resolver(names))
    assert (await cloud.post(f"http://{HOST}:{port}/", {}, b"x")).body == b"here"
    names.address, began = "127.0.0.2", time.monotonic()
    while not new.requests:
        await cloud.post(f"http://{HOST}:{port}/", {}, b"x")
        await asyncio.sleep(0.02)
    waited = time.monotonic() - began
    assert old.requests > 1, "connections are used more than once"
    assert names.asked <= 3
    assert waited < 2 * 4
    while old.connections:
        await asyncio.sleep(0.01)
    await cloud.close()
    await old.stop()
    await new.stop()
    figure(35, f"new address after {waited:.1f} s of the 2 (60 in a real minute), {names.asked} lookups")


def expired(authority: trustme.CA) -> trustme.LeafCert:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)
    return authority.issue_cert(HOST, not_before=past, not_after=past + dt.timedelta(days=1))


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
@pytest.mark.parametrize("kind", ["expired", "wrong host", "self-signed", "unknown CA", "TLS 1.1", "good"])
async def test_row_36_certificates(kind, tmp_path, figure):
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = {
        "expired": lambda: expired(authority),
        "wrong host": lambda: authority.issue_cert("another.test"),
        "self-signed": lambda: stranger.issue_cert(HOST),
        "unknown CA": lambda: stranger.issue_cert(HOST),
    }.get(kind, lambda: authority.issue_cert(HOST))()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(tls)
    if kind == "self-signed":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (tmp_path / "self.pem").write_bytes(stranger.private_key_pem.bytes() + stranger.cert_pem.bytes())
        tls.load_cert_chain(tmp_path / "self.pem")
    if kind == "TLS 1.1":
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version, tls.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    site, names = Site(tls), Names()
    port = await site.start()
    cloud = transport(ca_file=str(tmp_path / "ca.pem"), resolver=Resolver(names))
    url = f"https://{HOST}:{port}/"
    try:
        if kind == "good":
            assert (await cloud.post(url, {}, b"x")).body == b"here"
            figure(36, "own CA file: accepted")
            return
        for _ in range(3):
            with pytest.raises(TransportError) as caught:
                await cloud.post(url, {}, b"x")
            assert not caught.value.ambiguous
        assert site.requests == 0, "there is no fallback"
        figure(36, f"{kind}: refused")
    finally:
        await cloud.close()
        await site.stop()
