"""The way out: one HTTP POST, or a line written somewhere. The only place that makes a TransportError.

aiohttp is imported at the first request, in a thread: it takes half of a start, and sockets should be read before that.
"""

from __future__ import annotations

import asyncio
import ssl
from importlib import import_module
from typing import TYPE_CHECKING, Final

from relay import __version__
from relay.errors import TransportError
from relay.model import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    import aiohttp

_ANSWER_BYTES: Final = 1_048_576
"""An answer that lists 50 bad points is under 100 KB."""
_KEEPALIVE: Final = 10.0
"""Seconds: shorter than any server's, because a connection that the server closes under a request is ambiguous."""


class HttpTransport:
    """State: a session with its connections, made at the first request.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """

    def __init__(self, *, timeout: float, connect_timeout: float, concurrency: int, ca_file: str, proxy: str) -> None:
        self._tls = _tls(ca_file) if ca_file else None
        """Made at the start only if it may fail: the system's own certificates take 30 ms."""
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._concurrency = concurrency
        self._proxy = proxy or None
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        """Report the timeouts."""
        return f"<HttpTransport {self._timeout} s>"

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its whole answer; redirects are answers.

        Raises:
            TransportError: there was no complete answer; it says whether the request may have arrived.
        """
        session = self._session or await self._open()
        import aiohttp  # noqa: PLC0415 - see above

        try:
            async with session.post(
                url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
            ) as response:
                return await _read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise TransportError(_describe(error), ambiguous=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransportError(_describe(error), ambiguous=True) from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _open(self) -> aiohttp.ClientSession:
        await asyncio.to_thread(import_module, "aiohttp")
        tls = self._tls
        if tls is None:
            tls = await asyncio.to_thread(_tls, "")
        return self._session or self._connect(tls)  # another sender may have been here meanwhile

    def _connect(self, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415 - see above

        connector = aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=_KEEPALIVE, ssl=tls)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=self._connect_timeout),
            trust_env=False,
            headers={"user-agent": f"statsd-relay/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _read(response: aiohttp.ClientResponse) -> Reply:
    body = b""
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > _ANSWER_BYTES:
            raise TransportError(f"an answer of over {_ANSWER_BYTES} bytes", ambiguous=True)
    return Reply(
        status=response.status, headers={name.lower(): value for name, value in response.headers.items()}, body=body
    )


def _describe(error: BaseException) -> str:
    """Name the error without headers or addresses of requests: those hold signatures."""
    cause = getattr(error, "os_error", None)
    return f"{type(error).__name__}: {cause.strerror or cause}" if cause else type(error).__name__


class LineTransport:
    """State: a stream that takes one request body a line, for `--dry-run`, stdout and files; never refuses."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __repr__(self) -> str:
        """Report the stream."""
        return f"<LineTransport {getattr(self._stream, 'name', self._stream)}>"

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:  # noqa: ARG002 - as the other
        """Write the body.

        Raises:
            TransportError: it could not be written.
        """
        try:
            await asyncio.to_thread(self._write, body)
        except OSError as error:
            raise TransportError(_describe(error), ambiguous=True) from error
        return Reply(status=200, headers={}, body=b'{"result":{"success":true}}')

    def _write(self, body: bytes) -> None:
        self._stream.write(body + b"\n")
        self._stream.flush()

    async def close(self) -> None:
        """Leave the stream to its owner."""
