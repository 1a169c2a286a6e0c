"""The cause of each failed request, with real sockets: an operator looks for the fault by it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from contextlib import suppress

import pytest
import trustme

from relay.delivery.transport import FileTransport, HttpTransport, LineTransport
from relay.errors import FAILED_REQUESTS, TransportError
from relay.resolver import Resolver
from tests.support.pool import Setup
from tests.support.raw_cloud import RawCloud


def no_such_name(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def failure(url: str, **changes) -> TransportError:
    """The error of one request."""
    settings = {"timeout": 1.0, "connect_timeout": 1.0, "concurrency": 1, "ca_file": "", "proxy": ""}
    transport = HttpTransport(**{**settings, **changes})
    try:
        with pytest.raises(TransportError) as caught:
            await transport.post(url, {}, b"x" * 100)
    finally:
        await transport.close()
    assert caught.value.cause in FAILED_REQUESTS
    return caught.value


async def failure_of(answer: bytes | None, *, how: str = "http", ends: str = "", tls=None, **changes) -> str:
    """The cause that a server makes: it sends `answer` after the headers, and ends the connection."""

    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n") if how == "http" or tls else await reader.read(1)
        writer.write(answer or b"")
        if ends == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if ends != "never":
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if "proxy" in changes:
        changes["proxy"] = f"http://{address}"
    try:
        error = await failure(f"{how}://{address}/", **changes)
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()
    return error.cause


async def test_a_name_without_an_address():
    error = await failure("http://monitor.test/", resolver=Resolver(no_such_name))
    assert (error.cause, error.ambiguous) == ("dns", False)


async def test_a_port_without_a_listener():
    error = await failure("http://127.0.0.1:1/")
    assert (error.cause, error.ambiguous) == ("connect", False)


async def test_a_proxy_that_cannot_be_used():
    """The proxy resolves the endpoint: what the relay cannot resolve, or reach, is the proxy."""
    unnamed = await failure("http://x/", proxy="http://proxy.test:1", resolver=Resolver(no_such_name))
    closed = await failure("http://127.0.0.1:2/", proxy="http://127.0.0.1:1")
    refusing = await failure_of(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", how="https", ends="never", proxy=True)
    assert [unnamed.cause, closed.cause, refusing] == ["proxy"] * 3


async def test_tls_that_does_not_come_about():
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    assert await failure_of(b"", how="https", tls=server) == "tls", "an authority that is not trusted"
    assert await failure_of(b"HTTP/1.1 400 Bad Request\r\n\r\n", how="https") == "tls", "a server without TLS"


async def test_a_server_that_does_not_answer():
    assert await failure_of(None, ends="never", timeout=0.2) == "timeout"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], ids=["none", "part"])
@pytest.mark.parametrize("ends", ["closes", "reset"])
async def test_a_connection_that_ends_before_the_answer(answer, ends):
    assert await failure_of(answer, ends=ends) == "reset"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x" * 999_999,
    ],
    ids=["not HTTP", "headers", "body"],
)
async def test_an_answer_that_is_none(answer):
    assert await failure_of(answer, ends="never") == "bad_answer"


async def test_files_that_cannot_be_used(tmp_path):
    assert (await failure("http://x/", ca_file=str(tmp_path / "none.pem"), is_lazy=True)).cause == "file"
    transports = [LineTransport(os.open("/dev/full", os.O_WRONLY), closes=True), FileTransport(str(tmp_path / "f"))]
    (tmp_path / "f").unlink()
    (tmp_path / "f").mkdir()
    for transport in transports:
        with pytest.raises(TransportError) as caught:
            await transport.post("", {}, b"body")
        assert caught.value.cause == "file"
        await transport.close()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(b"503 Down", "5xx"), (b"500 Bug", "5xx"), (b"408 Slow", "timeout"), (b"200 OK", "bad_answer")],
)
async def test_an_answer_that_stores_nothing_is_counted_by_its_cause(tmp_path, answer, cause):
    cloud = RawCloud(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{}" % answer)
    async with Setup(tmp_path, cloud=cloud) as setup:
        await setup.send(1)
        await setup.settle()
        assert setup.ledger.requests_failed == {cause: 1}
        assert (setup.ledger.points_delivered, setup.balanced()) == (1, True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "Connection refused"),
        ("http://nowhere.invalid/", "Name or service not known"),
        ("http:///", "no connection"),
    ],
)
async def test_the_words_are_those_of_the_system_and_name_no_class(url, words):
    found = await failure(url, resolver=Resolver(no_such_name))
    assert found.detail == words
