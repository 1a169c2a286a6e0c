"""Transports: an HTTP POST, or a line written to a descriptor or a file. The only place that makes a TransportError.

Time and memory of an answer are bounded: a request takes `timeout` in all; the body of an answer is at most 256 KiB,
also inflated; bounded_http.py bounds what precedes the body. Redirects are not followed, so credentials go to no
other host. Connections are used for 30 s at most and host names are resolved again with them, so a new address of the
cloud is used within a minute. Certificates are always checked; an invalid one fails the attempt.

aiohttp is imported in a thread at the first request: the import takes half the time of a start, and sockets should be
read before it.

Not known here: what a body means, and what is done about an answer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import zlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from relay import __version__
from relay.config.secret_files import read_bounded
from relay.delivery.disk_thread import DiskThread
from relay.errors import TransportError, reason_of
from relay.model import Reply
from relay.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from aiohttp.abc import AbstractResolver


# --- name resolution -------------------------------------------------------------------------------------------------


class _AiohttpResolver:
    """aiohttp's view of a `Resolver`; aiohttp keeps the addresses and runs one lookup per name at a time."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """Return the addresses of a host in aiohttp's form.

        Raises:
            OSError: the lookup failed.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def settle(answer: list[Any] | OSError) -> None:
            if found.done():  # the caller was cancelled
                return
            if isinstance(answer, OSError):
                found.set_exception(answer)
            else:
                found.set_result(answer)

        def finish(answer: list[Any] | OSError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, answer)

        self._resolver.look_up(host, port, family=family, kind=socket.SOCK_STREAM, then=finish)
        return [
            {
                "hostname": host,
                "host": address[0],
                "port": address[1],
                "family": found_family,
                "proto": proto,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for found_family, _, proto, _, address in await found
        ]

    async def close(self) -> None:
        """Do nothing: no resources are held."""


# --- HTTP ------------------------------------------------------------------------------------------------------------

_ANSWER_BYTES: Final = 262_144
"""Bound of a body. An answer that lists 50 bad points has under 100 KB; parsing the worst of this size takes 18 ms."""
_NO_DESCRIPTOR: Final = -1
_KEEPALIVE: Final = 10.0
"""Seconds; shorter than any server's: if the server closes a connection during a request, its fate is unknown."""
_GENERATION_SECONDS: Final = 30.0
"""Seconds for which connections and resolved addresses are used; a TLS handshake per 30 s costs little."""
_CA_BYTES: Final = 16 * 1024 * 1024
"""Bound of `ca_file`; the certificates of all public authorities together have 300 KB."""
_CA_SECONDS: Final = 1.0
"""Seconds to wait for the content of `ca_file` if it is a pipe."""
_ENCODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's window bits by Content-Encoding. `identity` is requested, but a proxy may still compress."""


class _Generation:
    """State: a session with its connections and addresses, its creation time, and the number of requests using it."""

    def __init__(self, session: aiohttp.ClientSession, made_at: float) -> None:
        self.session = session
        self.made_at = made_at
        self.users = 0


class HttpTransport:
    """State: the current generation of connections, made at the first request, and older ones still in use.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate. If `is_lazy`, each request fails until it can.
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
        resolver: Resolver | None = None,
    ) -> None:
        self._tls = _tls(ca_file) if ca_file and not is_lazy else None
        """Loaded here only from `ca_file`, which may be wrong; the system's certificates take 30 ms and load later."""
        self._ca_file = ca_file
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._concurrency = concurrency
        self._proxy = proxy or None
        self._resolver = _AiohttpResolver(resolver or Resolver())
        self._making_tls = asyncio.Lock()
        self._current: _Generation | None = None
        self._retired: list[_Generation] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its whole answer; redirects are not followed.

        Raises:
            TransportError: there was no complete answer; its `ambiguous` says whether the request may have arrived.
        """
        generation = await self._acquire()
        try:
            return await self._post(generation.session, url, headers, body)
        finally:
            await self._release(generation)

    async def _post(self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        import aiohttp  # noqa: PLC0415 - see above

        from relay.delivery.bounded_http import HeadTooLargeError  # noqa: PLC0415 - likewise

        try:
            async with (
                asyncio.timeout(self._timeout),
                session.post(url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False) as response,
            ):
                return await _read(response)
        except HeadTooLargeError as error:
            raise TransportError(str(error), cause="bad_answer", ambiguous=True) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            not_sent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
            ambiguous = not isinstance(error, not_sent)
            cause = _cause_of(error, has_proxy=self._proxy is not None)
            raise TransportError(_describe(error, cause), cause=cause, ambiguous=ambiguous) from error

    async def close(self) -> None:
        """Close idle connections now, and those in use when their requests end."""
        if self._current is not None:
            self._retired.append(self._current)
            self._current = None
        await self._close_idle()

    async def _acquire(self) -> _Generation:
        """Return the current generation, or a new one after `_GENERATION_SECONDS`, and count this request."""
        if self._current is None:
            await asyncio.to_thread(import_module, "relay.delivery.bounded_http")
        tls = self._tls or await self._make_tls()
        now, current = asyncio.get_running_loop().time(), self._current
        if current is None or now - current.made_at > _GENERATION_SECONDS:
            if current is not None:
                self._retired.append(current)
            current = self._current = _Generation(self._connect(tls), now)
        current.users += 1
        return current

    async def _make_tls(self) -> ssl.SSLContext:
        """Read the certificates, one request at a time: a `ca_file` that is a pipe blocks."""
        async with self._making_tls:
            try:
                tls = await asyncio.to_thread(_tls, self._ca_file) if self._tls is None else self._tls
            except OSError as error:
                detail = f"cloud.ca_file cannot be used: {error.strerror or type(error).__name__}"
                raise TransportError(detail, cause="file", ambiguous=False) from error
            self._tls = tls
            return tls

    async def _release(self, generation: _Generation) -> None:
        generation.users -= 1
        await self._close_idle()

    async def _close_idle(self) -> None:
        idle = [generation for generation in self._retired if not generation.users]
        self._retired = [generation for generation in self._retired if generation.users]
        for generation in idle:
            await generation.session.close()

    def _connect(self, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415 - see above

        from relay.delivery.bounded_http import BoundedConnector  # noqa: PLC0415 - likewise

        connector = BoundedConnector(
            limit=self._concurrency,
            keepalive_timeout=_KEEPALIVE,
            ssl=tls,
            resolver=cast("AbstractResolver", self._resolver),
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
    pem = read_bounded(Path(ca_file), _CA_BYTES, timeout=_CA_SECONDS).decode("ascii", "ignore") if ca_file else None
    context = ssl.create_default_context(cadata=pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _read(response: aiohttp.ClientResponse) -> Reply:
    body = b""
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > _ANSWER_BYTES:
            response.close()
            raise _too_large()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status, headers=headers, body=_inflate(body, headers.get("content-encoding", "")))


def _inflate(body: bytes, encoding: str) -> bytes:
    """Decompress a body within the bound; a body that cannot be decompressed is returned unchanged."""
    bits = _ENCODINGS.get(encoding.strip().lower())
    if bits is None:
        return body
    try:
        inflated = zlib.decompressobj(bits).decompress(body, _ANSWER_BYTES + 1)
    except zlib.error:
        return body
    if len(inflated) > _ANSWER_BYTES:
        raise _too_large()
    return inflated


def _too_large() -> TransportError:
    return TransportError(f"an answer of over {_ANSWER_BYTES} bytes", cause="bad_answer", ambiguous=True)


def _cause_of(error: BaseException, *, has_proxy: bool) -> str:
    """Return the cause of a failed request, see errors.FAILED_REQUESTS.

    Args:
        error: an exception of aiohttp, or of the system.
        has_proxy: the proxy resolves the endpoint's name; the relay resolves and connects to the proxy only.
    """
    import aiohttp  # noqa: PLC0415 - see above

    causes: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
        ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
        ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "proxy"),
        ((aiohttp.ClientConnectorDNSError,), "proxy" if has_proxy else "dns"),
        ((TimeoutError,), "timeout"),
        ((aiohttp.ClientResponseError,), "bad_answer"),
        ((aiohttp.ClientConnectorError, aiohttp.InvalidURL), "connect"),
    )
    chain = [error, *filter(None, [getattr(error, "os_error", None), error.__cause__])]
    if any(isinstance(each, (ConnectionResetError, ConnectionAbortedError)) for each in chain):
        return "reset"
    return next((cause for kinds, cause in causes if isinstance(error, kinds)), "reset")


_WORDS: Final = {
    "dns": "the host name cannot be looked up",
    "connect": "no connection",
    "tls": "the TLS handshake failed",
    "timeout": "no answer in time",
    "reset": "the connection was closed before the whole answer had come",
    "proxy": "the proxy refuses",
    "bad_answer": "the answer is not HTTP",
}
"""Cause of a failed request -> words, where the system has none."""


def _describe(error: BaseException, cause: str) -> str:
    """Return the system's words for an error; without request headers and URLs, which hold signatures."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"{_WORDS['tls']}: {inner.verify_message}"
    if isinstance(inner, ssl.SSLError):
        return f"{_WORDS['tls']}: {inner.reason or 'no reason given'}"
    return reason_of(inner) if isinstance(inner, OSError) and inner.errno else _WORDS[cause]


# --- lines -----------------------------------------------------------------------------------------------------------


class LineTransport:
    """State: a descriptor to which one request body a line is written, for `--dry-run`, stdout and files.

    Each written body counts as accepted. Writes are unbuffered, so a full disk fails the request itself and not a later
    flush. A stop does not wait for a blocked write, for example to a pipe without a reader.
    """

    def __init__(self, descriptor: int, *, closes: bool = False) -> None:
        """Set the descriptor.

        Args:
            descriptor: the bodies are written to it.
            closes: whether `close` closes the descriptor; not for standard output.
        """
        self._descriptor = descriptor
        self._closes = closes
        self._thread = DiskThread("requests")
        self._is_cut = False
        """Whether the last line was written in part: then a line feed precedes the next one."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:  # noqa: ARG002 - as the other
        """Write the body.

        Raises:
            TransportError: the body could not be written.
        """
        await self._prepare()
        try:
            await self._thread.run(self._write, body)
        except OSError as error:
            raise TransportError(reason_of(error), cause="file", ambiguous=True) from error
        return Reply(status=200, headers={}, body=b'{"result":{"success":true}}')

    async def _prepare(self) -> None:
        """Check or open the target before a write; here nothing is needed."""

    def _write(self, body: bytes) -> None:
        left = memoryview(b"%b%b\n" % (b"\n" * self._is_cut, body))
        while left:
            written = os.write(self._descriptor, left)
            left = left[written:]
            self._is_cut = bool(left)

    async def close(self) -> None:
        """End the thread; close the descriptor if the transport owns it."""
        self._thread.close()
        if self._closes:
            self._close_descriptor()

    def _close_descriptor(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)


class FileTransport(LineTransport):
    """State: a file to which one request body a line is written; opened again if another file is at its path.

    Without this, requests would be written to a file that was removed or renamed. While the file cannot be opened,
    requests fail and wait.

    Raises:
        OSError: the file cannot be opened. If `is_lazy`, each request fails until it can.
    """

    def __init__(self, path: str, *, is_lazy: bool = False) -> None:
        super().__init__(_NO_DESCRIPTOR if is_lazy else _open_for_appending(path), closes=True)
        self._path = path

    async def _prepare(self) -> None:
        try:
            await self._thread.run(self._stay_at_path)
        except OSError as error:
            raise TransportError(
                f"cloud.file cannot be used: {error.strerror}", cause="file", ambiguous=False
            ) from error

    def _stay_at_path(self) -> None:
        if not self._is_at_path():
            descriptor = _open_for_appending(self._path)
            self._close_descriptor()
            self._descriptor, self._is_cut = descriptor, False

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(Path(self._path).stat(), os.fstat(self._descriptor))
        except OSError:
            return False


def _open_for_appending(path: str) -> int:
    """Open a file for appending; a new one is readable for this user only, as it holds names of metrics.

    A pipe without a reader is an error; the open does not block.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    os.set_blocking(descriptor, True)
    return descriptor
