"""Serves HTTP and the text console on one port: the first bytes of a connection select the protocol.

HTTP begins with a method in capitals and a blank; commands of the console are in lower case. A `ProtocolDetector`
accepts each connection, reads until only one protocol is possible (one byte for every command, four for GET), and
passes transport and bytes on: to aiohttp, or to a `ConsoleSession`. The decision is final, so a web page, which can
only send HTTP, cannot reach the console through the body of a POST. A request with an unusual method counts as a
command, and the session ends at its first line (session.py).

Silent connections, console sessions and HTTP connections each have a bound. At a bound, the connection that has been
idle for the longest time is closed, so clients that send nothing, or never complete a request, cannot block a probe. An
HTTP connection counts as idle until its request has come with its body.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from relay.admin.console.session import LINE_BYTES, ConsoleSession, SessionTimeouts
from relay.admin.http.guard import is_loopback, peer_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Container

    from aiohttp.typedefs import Middleware

    from relay.admin.console.commands import Console

_METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT")
_SILENT_SECONDS: Final = 10.0
"""Seconds until the first bytes must come: enough for a person to type."""
_SILENT_MOST: Final = 64
_SESSIONS_MOST: Final = 64
_REQUESTS_MOST: Final = 256
"""HTTP connections."""
CONNECTIONS_MOST: Final = _SILENT_MOST + _SESSIONS_MOST + _REQUESTS_MOST
_BACKLOG: Final = 64
"""Connections that may be accepted in a row, before those that they replace are closed."""
_BODY_SECONDS: Final = 5.0
"""Seconds for the body of a request, which has 16 KiB at most."""


def is_http(head: bytes) -> bool | None:
    """Return whether a connection that begins with these bytes speaks HTTP; None: more bytes are needed."""
    for method in _METHODS:
        start = method + b" "
        if head[: len(start)] == start[: len(head)]:
            return True if len(head) >= len(start) else None
    return False


class ActiveRequests:
    """State: the HTTP connections with a complete request that is being answered; an answer may be a long stream."""

    def __init__(self) -> None:
        self._now: set[object] = set()

    def __contains__(self, connection: object) -> bool:
        """Return whether a request of this connection is being answered."""
        return connection in self._now

    def middleware(self) -> Middleware:
        """Return the aiohttp middleware that records requests in progress."""

        @web.middleware
        async def recorded(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            connection = request.protocol
            await _read_body(request)
            self._now.add(connection)
            try:
                return await handler(request)
            finally:
                self._now.discard(connection)

        return recorded


async def _read_body(request: web.Request) -> None:
    """Read the whole body, so that the handler does not wait for it.

    Raises:
        HTTPRequestTimeout: the body did not come in time.
        HTTPRequestEntityTooLarge: the body is longer than that of any request of this API.
    """
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


class ProtocolMux:
    """State: the listening sockets, the silent connections and the console sessions; aiohttp has the others."""

    def __init__(
        self,
        *,
        http: web.Server,
        active: Container[object],
        console: Console,
        timeouts: SessionTimeouts,
        most: int = CONNECTIONS_MOST,
        silent: float = _SILENT_SECONDS,
    ) -> None:
        self._http = http
        self._active = active
        self._console = console
        self._timeouts = timeouts
        self._share = min(1.0, most / CONNECTIONS_MOST)
        """Factor on each bound: a process that may open few files accepts fewer connections."""
        self._silent_seconds = silent
        self._servers: list[asyncio.Server] = []
        self._silent: dict[ProtocolDetector, None] = {}
        """Oldest first."""
        self._sessions: dict[ConsoleSession, asyncio.Task[None]] = {}

    async def open(self, sock: socket.socket) -> tuple[str, int]:
        """Accept connections on a socket, which the caller still owns; return its address."""
        loop = asyncio.get_running_loop()
        backlog = self._scaled(_BACKLOG)
        self._servers.append(
            await loop.create_server(partial(ProtocolDetector, self), sock=sock.dup(), backlog=backlog)
        )
        host, port = sock.getsockname()[:2]
        return host, port

    def _scaled(self, most: int) -> int:
        return max(1, round(most * self._share))

    async def close(self) -> None:
        """Stop listening; close the silent connections and the console sessions."""
        for server in self._servers:
            server.close()
        for detector in list(self._silent):
            detector.close()
        for task in self._sessions.values():
            task.cancel()
        await asyncio.gather(*self._sessions.values(), return_exceptions=True)

    # --- called by ProtocolDetector -----------------------------------------------------------------------------------

    def add(self, detector: ProtocolDetector) -> float:
        """Register a silent connection; return the seconds until its first bytes must come."""
        if len(self._silent) >= self._scaled(_SILENT_MOST):
            next(iter(self._silent)).close()
        self._silent[detector] = None
        return self._silent_seconds

    def remove(self, detector: ProtocolDetector) -> None:
        """Remove a connection that is closed, or is no longer silent."""
        self._silent.pop(detector, None)

    def protocol_for(self, transport: asyncio.Transport, *, http: bool) -> asyncio.Protocol | None:
        """Return the protocol that serves a connection from now on; None: there are too many."""
        if http:
            return self._http() if self._make_room() else None
        is_local = is_loopback(peer_address(transport))
        return asyncio.StreamReaderProtocol(
            asyncio.StreamReader(limit=LINE_BYTES), partial(self._start_session, is_local=is_local)
        )

    def _make_room(self) -> bool:
        """Return whether one more HTTP connection fits; at the bound, close one without a request in progress."""
        known = [(one, one.transport) for one in self._http.connections]
        open_ = [(one, transport) for one, transport in known if transport and not transport.is_closing()]
        if len(open_) < self._scaled(_REQUESTS_MOST):
            return True
        idle = next((transport for one, transport in open_ if one not in self._active), None)
        if idle is not None:
            idle.abort()
        return idle is not None

    def _start_session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_local: bool) -> None:
        if len(self._sessions) >= self._scaled(_SESSIONS_MOST):
            self._sessions[min(self._sessions, key=lambda one: one.last)].cancel()
        answer = partial(self._console.answer, is_local=is_local)
        session = ConsoleSession(reader, writer, answer=answer, timeouts=self._timeouts)
        task = asyncio.get_running_loop().create_task(session.run(), name="console")
        self._sessions[session] = task
        task.add_done_callback(lambda _: self._sessions.pop(session))


class ProtocolDetector(asyncio.Protocol):
    """State: a connection and its first bytes, until the protocol is known."""

    def __init__(self, mux: ProtocolMux) -> None:
        self._mux = mux
        self._head = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes for a bounded time."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(self._mux.add(self), self.close)

    def data_received(self, data: bytes) -> None:
        """Select the protocol once the bytes suffice."""
        self._head += data
        decided = is_http(self._head)
        if decided is not None:
            self._select(http=decided)

    def eof_received(self) -> bool:
        """Treat a stream that ends within a possible method as a command of the console."""
        if not self._head:
            return False
        successor = self._select(http=False)
        return bool(successor and successor.eof_received())

    def connection_lost(self, _: Exception | None) -> None:
        """Remove the connection: it was closed before its protocol was known."""
        self._remove()

    def close(self) -> None:
        """Close the connection: its protocol is still unknown."""
        self._remove()
        self._transport.abort()

    def _remove(self) -> None:
        self._timer.cancel()
        self._mux.remove(self)

    def _select(self, *, http: bool) -> asyncio.Protocol | None:
        self._remove()
        successor = self._mux.protocol_for(self._transport, http=http)
        if successor is None:
            self._transport.abort()
        else:
            self._transport.set_protocol(successor)
            successor.connection_made(self._transport)
            successor.data_received(self._head)
        return successor
