"""The way out: one HTTP POST, or a line written somewhere. The only place that makes a TransportError.

Time and memory of any answer are bounded: one request takes `timeout` in all, an answer 256 KiB, also when it is
inflated, and head.py bounds what comes before its body. Redirects are answers, so credentials follow nowhere.
Connections live for 30 s at most and names are looked up anew with them, so a new address of the cloud is used within a
minute. Certificates are always checked, and one that
does not fit is the end of the attempt.

aiohttp is imported at the first request, in a thread: it takes half of a start, and sockets should be read before that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import zlib
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from relay import __version__
from relay.delivery.disk_thread import DiskThread
from relay.delivery.lookup import Lookup
from relay.errors import TransportError
from relay.model import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from aiohttp.abc import AbstractResolver

    from relay.delivery.lookup import GetAddresses

_ANSWER_BYTES: Final = 262_144
"""An answer that lists 50 bad points is under 100 KB; to understand the worst one of this size takes 18 ms."""
_KEEPALIVE: Final = 10.0
"""Seconds: shorter than any server's, because a connection that the server closes under a request is ambiguous."""
_GENERATION_SECONDS: Final = 30.0
"""How long connections and looked-up addresses are used; one TLS handshake in so long costs nothing."""
_ENCODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's window bits by Content-Encoding; none is asked for, but a proxy may add one."""


class _Generation:
    """State: a session with its connections and addresses, when it was made, and how many requests use it."""

    def __init__(self, session: aiohttp.ClientSession, made_at: float) -> None:
        self.session = session
        self.made_at = made_at
        self.users = 0


class HttpTransport:
    """State: the generation of connections in use, made at the first request, and older ones still in use.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate; if `is_lazy`, each request says so until it can.
    """

    def __init__(  # noqa: PLR0913 - a section of the configuration, flat
        self,
        *,
        timeout: float,
        connect_timeout: float,
        concurrency: int,
        ca_file: str,
        proxy: str,
        is_lazy: bool = False,
        get_addresses: GetAddresses = socket.getaddrinfo,
    ) -> None:
        self._tls = _tls(ca_file) if ca_file and not is_lazy else None
        """Made at the start only if it may fail: the system's own certificates take 30 ms."""
        self._ca_file = ca_file
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._concurrency = concurrency
        self._proxy = proxy or None
        self._lookup = Lookup(get_addresses)
        self._current: _Generation | None = None
        self._retired: list[_Generation] = []

    def __repr__(self) -> str:
        """Report the timeouts."""
        return f"<HttpTransport {self._timeout} s>"

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its whole answer; redirects are answers.

        Raises:
            TransportError: there was no complete answer; it says whether the request may have arrived.
        """
        generation = await self._join()
        try:
            return await self._post(generation.session, url, headers, body)
        finally:
            await self._leave(generation)

    async def _post(self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        import aiohttp  # noqa: PLC0415 - see above

        from relay.delivery.head import EndlessHeadError  # noqa: PLC0415 - likewise

        try:
            async with (
                asyncio.timeout(self._timeout),
                session.post(url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False) as response,
            ):
                return await _read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise TransportError(_describe(error), ambiguous=False) from error
        except EndlessHeadError as error:
            raise TransportError(str(error), ambiguous=True) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransportError(_describe(error), ambiguous=True) from error

    async def close(self) -> None:
        """Close every connection; those that a request still uses, when it ends."""
        if self._current is not None:
            self._retired.append(self._current)
            self._current = None
        await self._close_idle()

    async def _join(self) -> _Generation:
        """Use the current generation, or a new one."""
        if self._current is None:
            await asyncio.to_thread(import_module, "relay.delivery.head")
        tls = self._tls
        if tls is None:
            tls = self._tls = await self._make_tls()
        now, current = asyncio.get_running_loop().time(), self._current
        if current is None or now - current.made_at > _GENERATION_SECONDS:
            if current is not None:
                self._retired.append(current)
            current = self._current = _Generation(self._connect(tls), now)
        current.users += 1
        return current

    async def _make_tls(self) -> ssl.SSLContext:
        try:
            return await asyncio.to_thread(_tls, self._ca_file)
        except OSError as error:
            detail = f"cloud.ca_file cannot be used: {error.strerror or type(error).__name__}"
            raise TransportError(detail, ambiguous=False) from error

    async def _leave(self, generation: _Generation) -> None:
        generation.users -= 1
        await self._close_idle()

    async def _close_idle(self) -> None:
        idle = [generation for generation in self._retired if not generation.users]
        self._retired = [generation for generation in self._retired if generation.users]
        for generation in idle:
            await generation.session.close()

    def _connect(self, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415 - see above

        from relay.delivery.head import BoundedConnector  # noqa: PLC0415 - likewise

        connector = BoundedConnector(
            limit=self._concurrency,
            keepalive_timeout=_KEEPALIVE,
            ssl=tls,
            resolver=cast("AbstractResolver", self._lookup),
            ttl_dns_cache=int(_GENERATION_SECONDS),
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=self._connect_timeout),
            trust_env=False,
            headers={"user-agent": f"statsd-relay/{__version__}", "accept-encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _read(response: aiohttp.ClientResponse) -> Reply:
    body = b""
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > _ANSWER_BYTES:
            response.close()
            raise TransportError(f"an answer of over {_ANSWER_BYTES} bytes", ambiguous=True)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status, headers=headers, body=_inflate(body, headers.get("content-encoding", "")))


def _inflate(body: bytes, encoding: str) -> bytes:
    """Undo a Content-Encoding within the bound; what nobody can read stays as it came, and is judged as that."""
    bits = _ENCODINGS.get(encoding.strip().lower())
    if bits is None:
        return body
    try:
        inflated = zlib.decompressobj(bits).decompress(body, _ANSWER_BYTES + 1)
    except zlib.error:
        return body
    if len(inflated) > _ANSWER_BYTES:
        raise TransportError(f"an answer of over {_ANSWER_BYTES} bytes", ambiguous=True)
    return inflated


def _describe(error: BaseException) -> str:
    """Name the error without headers or addresses of requests: those hold signatures."""
    cause = getattr(error, "os_error", None)
    return f"{type(error).__name__}: {cause.strerror or cause}" if cause else type(error).__name__


class LineTransport:
    """State: a descriptor that takes one request body a line, for `--dry-run`, stdout and files; never refuses.

    Nothing is buffered: what a full disk does not take would be left for the end, and would fail there. A write that
    hangs, since nobody reads, is left behind by a stop.
    """

    def __init__(self, descriptor: int, *, closes: bool = False) -> None:
        """Join them.

        Args:
            descriptor: takes the bodies.
            closes: whether it ends with the transport; standard output does not.
        """
        self._descriptor = descriptor
        self._closes = closes
        self._thread = DiskThread("requests")
        self._is_cut = False
        """The last line was written in part: the next one begins on a line of its own."""

    def __repr__(self) -> str:
        """Report the descriptor."""
        return f"<LineTransport {self._descriptor}>"

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:  # noqa: ARG002 - as the other
        """Write the body.

        Raises:
            TransportError: it could not be written.
        """
        try:
            await self._thread.run(self._write, body)
        except OSError as error:
            raise TransportError(_describe(error), ambiguous=True) from error
        return Reply(status=200, headers={}, body=b'{"result":{"success":true}}')

    def _write(self, body: bytes) -> None:
        left = memoryview(b"%b%b\n" % (b"\n" * self._is_cut, body))
        while left:
            written = os.write(self._descriptor, left)
            left = left[written:]
            self._is_cut = bool(left)

    async def close(self) -> None:
        """End the thread; close the descriptor, unless it is its owner's."""
        self._thread.close()
        if self._closes:
            with suppress(OSError):
                os.close(self._descriptor)
