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
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from relay import __version__
from relay.config.secret_files import read_bounded
from relay.delivery.disk_thread import DiskThread
from relay.errors import TransportError
from relay.model import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from aiohttp.abc import AbstractResolver


# --- lookup ----------------------------------------------------------------------------------------------------------

# Names become addresses in a thread of their own: a lookup that hangs blocks neither the loop nor the exit.
#
# getaddrinfo can take half a minute and cannot be cancelled. In a shared pool a few such lookups would keep others from
# their threads, and an interpreter waits for its pools at exit; a daemon thread does neither. aiohttp keeps the
# addresses and never looks the same name up twice at a time, so there is one thread per name at most.


class GetAddresses(Protocol):
    """socket.getaddrinfo, or what a test has instead."""

    def __call__(self, host: str, port: int, *, family: int, type: int) -> list[Any]:  # noqa: A002 - its name there
        """Block until the name is looked up."""
        ...


class Resolver:
    """State: none; what aiohttp calls a resolver."""

    def __init__(self, get_addresses: GetAddresses) -> None:
        self._get_addresses = get_addresses

    def __repr__(self) -> str:
        """Name it."""
        return "<Resolver>"

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        """Return the addresses of a host, as aiohttp wants them.

        Raises:
            OSError: there are none.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def look_up() -> None:
            try:
                addresses = self._get_addresses(host, port, family=family, type=socket.SOCK_STREAM)
            except OSError as error:
                _tell(loop, found, None, error)
            else:
                _tell(loop, found, addresses, None)

        Thread(target=look_up, name="lookup", daemon=True).start()
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
        """Nothing is kept."""


def _tell(
    loop: asyncio.AbstractEventLoop,
    found: asyncio.Future[list[Any]],
    addresses: list[Any] | None,
    error: OSError | None,
) -> None:
    """Answer from the thread, unless nobody waits any more."""

    def answer() -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses or [])

    if not loop.is_closed():
        loop.call_soon_threadsafe(answer)


_ANSWER_BYTES: Final = 262_144
"""An answer that lists 50 bad points is under 100 KB; to understand the worst one of this size takes 18 ms."""
_NONE: Final = -1
"""Stands for a descriptor that there is none."""
_KEEPALIVE: Final = 10.0
"""Seconds: shorter than any server's, because a connection that the server closes under a request is ambiguous."""
_GENERATION_SECONDS: Final = 30.0
"""How long connections and looked-up addresses are used; one TLS handshake in so long costs nothing."""
_CA_BYTES: Final = 16 * 1024 * 1024
"""Of a file of certificates: those of all authorities together have 300 KB."""
_PATIENCE: Final = 1.0
"""Seconds for such a file that is a pipe."""
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
        self._lookup = Resolver(get_addresses)
        self._making_tls = asyncio.Lock()
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
        tls = self._tls or await self._make_tls()
        now, current = asyncio.get_running_loop().time(), self._current
        if current is None or now - current.made_at > _GENERATION_SECONDS:
            if current is not None:
                self._retired.append(current)
            current = self._current = _Generation(self._connect(tls), now)
        current.users += 1
        return current

    async def _make_tls(self) -> ssl.SSLContext:
        """Read the certificates; one request at a time does, for a file that is a pipe keeps it waiting."""
        async with self._making_tls:
            try:
                tls = await asyncio.to_thread(_tls, self._ca_file) if self._tls is None else self._tls
            except OSError as error:
                detail = f"cloud.ca_file cannot be used: {error.strerror or type(error).__name__}"
                raise TransportError(detail, ambiguous=False) from error
            self._tls = tls
            return tls

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
    pem = read_bounded(Path(ca_file), _CA_BYTES, patience=_PATIENCE).decode("ascii", "ignore") if ca_file else None
    context = ssl.create_default_context(cadata=pem)
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
        await self._prepare()
        try:
            await self._thread.run(self._write, body)
        except OSError as error:
            raise TransportError(_describe(error), ambiguous=True) from error
        return Reply(status=200, headers={}, body=b'{"result":{"success":true}}')

    async def _prepare(self) -> None:
        """See whether there is something to write to."""

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
            self._close_descriptor()

    def _close_descriptor(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)


class FileTransport(LineTransport):
    """State: a file that takes one request body a line, opened again where it is not at its path any more.

    A file that was removed or renamed would take requests that nothing finds; while none can be opened, requests wait.

    Raises:
        OSError: it cannot be opened; if `is_lazy`, each request says so until it can.
    """

    def __init__(self, path: str, *, is_lazy: bool = False) -> None:
        super().__init__(_NONE if is_lazy else _open_private(path), closes=True)
        self._path = path

    async def _prepare(self) -> None:
        try:
            await self._thread.run(self._stay_at_path)
        except OSError as error:
            raise TransportError(f"cloud.file cannot be used: {error.strerror}", ambiguous=False) from error

    def _stay_at_path(self) -> None:
        if not self._is_at_path():
            descriptor = _open_private(self._path)
            self._close_descriptor()
            self._descriptor, self._is_cut = descriptor, False

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(Path(self._path).stat(), os.fstat(self._descriptor))
        except OSError:
            return False


def _open_private(path: str) -> int:
    """Open a file for appending that only this user may read: the names of metrics are in it.

    A pipe that nothing reads is an error, and not a wait without end.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    os.set_blocking(descriptor, True)
    return descriptor
