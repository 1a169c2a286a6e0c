"""One port for HTTP and for the text console: the first bytes decide, and for good.

HTTP begins with a method in capitals and a blank; the console's commands are in lower case. A connection is accepted by
a `ProtocolDetector`, which reads until the bytes can be one of them only (one is enough for every command, four for
GET), and hands transport and bytes over: to aiohttp's protocol, or to a stream of our own. The decision is final: a
page in a browser, which can only speak HTTP, cannot reach the console through what it posts; with a method
of its own it comes as far as the first line (session.py).

Bounded: connections that have said nothing, conversations, HTTP. Where there are too many, the one that was of no use
for the longest time goes, so that those who never speak, or never end a request, cannot keep a probe out. A request
whose body has not come is no use yet.
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
"""For the first bytes: enough for a person to type."""
_SILENT_MOST: Final = 64
_CONVERSATIONS_MOST: Final = 64
_REQUESTS_MOST: Final = 256
"""Connections that speak HTTP."""
CONNECTIONS_MOST: Final = _SILENT_MOST + _CONVERSATIONS_MOST + _REQUESTS_MOST
_BACKLOG: Final = 64
"""Connections that may be accepted in a row, before those that go for them are closed."""
_BODY_SECONDS: Final = 5.0
"""For the body of a request, of 1 KiB at most."""


def is_http(head: bytes) -> bool | None:
    """Say whether a connection that begins so speaks HTTP; None: that is not known yet."""
    for method in _METHODS:
        start = method + b" "
        if head[: len(start)] == start[: len(head)]:
            return True if len(head) >= len(start) else None
    return False


class ActiveRequests:
    """State: the HTTP connections whose request is complete and being answered, maybe by a stream that is read."""

    def __init__(self) -> None:
        self._now: set[object] = set()

    def __repr__(self) -> str:
        """Report how many."""
        return f"<ActiveRequests {len(self._now)}>"

    def __contains__(self, connection: object) -> bool:
        """Say whether it is one of them."""
        return connection in self._now

    def middleware(self) -> Middleware:
        """Return what is to be put around every handler."""

        @web.middleware
        async def noted(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            connection = request.protocol
            await _whole(request)
            self._now.add(connection)
            try:
                return await handler(request)
            finally:
                self._now.discard(connection)

        return noted


async def _whole(request: web.Request) -> None:
    """Wait for the body, which the handler then has at once.

    Raises:
        HTTPRequestTimeout: it does not come.
        HTTPRequestEntityTooLarge: it is none of a request that any handler knows.
    """
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


class ProtocolMux:
    """State: the listening sockets, and the connections that are not aiohttp's."""

    def __init__(
        self,
        *,
        http: web.Server,
        answering: Container[object],
        console: Console,
        pace: SessionTimeouts,
        most: int = CONNECTIONS_MOST,
        silent: float = _SILENT_SECONDS,
    ) -> None:
        self._http = http
        self._answering = answering
        self._console = console
        self._pace = pace
        self._share = min(1.0, most / CONNECTIONS_MOST)
        """Of each kind's places: a process that may open few files has fewer."""
        self._silent_seconds = silent
        self._servers: list[asyncio.Server] = []
        self._silent: dict[ProtocolDetector, None] = {}
        """The oldest first."""
        self._conversations: dict[ConsoleSession, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        """Report the connections."""
        return f"<ProtocolMux {len(self._silent)} silent, {len(self._conversations)} conversations>"

    async def open(self, sock: socket.socket) -> tuple[str, int]:
        """Take connections of a socket, which remains the caller's; return its address."""
        loop = asyncio.get_running_loop()
        backlog = self._places(_BACKLOG)
        self._servers.append(
            await loop.create_server(partial(ProtocolDetector, self), sock=sock.dup(), backlog=backlog)
        )
        host, port = sock.getsockname()[:2]
        return host, port

    def _places(self, most: int) -> int:
        return max(1, round(most * self._share))

    async def close(self) -> None:
        """Listen no more, and end what is not aiohttp's."""
        for server in self._servers:
            server.close()
        for doorman in list(self._silent):
            doorman.dismiss()
        for task in self._conversations.values():
            task.cancel()
        await asyncio.gather(*self._conversations.values(), return_exceptions=True)

    # --- for doormen --------------------------------------------------------------------------------------------------

    def arrived(self, doorman: ProtocolDetector) -> float:
        """Note a connection; return how many seconds it has to say something."""
        if len(self._silent) >= self._places(_SILENT_MOST):
            next(iter(self._silent)).dismiss()
        self._silent[doorman] = None
        return self._silent_seconds

    def left(self, doorman: ProtocolDetector) -> None:
        """Forget one that is gone, or has spoken."""
        self._silent.pop(doorman, None)

    def protocol_for(self, transport: asyncio.Transport, *, http: bool) -> asyncio.Protocol | None:
        """Return who goes on with a connection; None: it is one too many."""
        if http:
            return self._http() if self._has_room() else None
        is_local = is_loopback(peer_address(transport))
        return asyncio.StreamReaderProtocol(
            asyncio.StreamReader(limit=LINE_BYTES), partial(self._converse, is_local=is_local)
        )

    def _has_room(self) -> bool:
        """Make room for one that speaks HTTP, if another is waited for in vain."""
        there = [(one, one.transport) for one in self._http.connections]
        left = [(one, transport) for one, transport in there if transport and not transport.is_closing()]
        if len(left) < self._places(_REQUESTS_MOST):
            return True
        idle = next((transport for one, transport in left if one not in self._answering), None)
        if idle is not None:
            idle.abort()
        return idle is not None

    def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_local: bool) -> None:
        if len(self._conversations) >= self._places(_CONVERSATIONS_MOST):
            self._conversations[min(self._conversations, key=lambda one: one.last)].cancel()
        answer = partial(self._console.answer, is_local=is_local)
        conversation = ConsoleSession(reader, writer, answer=answer, pace=self._pace)
        task = asyncio.get_running_loop().create_task(conversation.run(), name="console")
        self._conversations[conversation] = task
        task.add_done_callback(lambda _: self._conversations.pop(conversation))


class ProtocolDetector(asyncio.Protocol):
    """State: a connection, and its first bytes."""

    def __init__(self, port: ProtocolMux) -> None:
        self._port = port
        self._head = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def __repr__(self) -> str:
        """Report the bytes."""
        return f"<ProtocolDetector {self._head!r}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, but not for ever."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(self._port.arrived(self), self.dismiss)

    def data_received(self, data: bytes) -> None:
        """Decide, if that is possible by now."""
        self._head += data
        decided = is_http(self._head)
        if decided is not None:
            self._hand_over(http=decided)

    def eof_received(self) -> bool:
        """What begins like a method and ends there is a command, if a wrong one."""
        if not self._head:
            return False
        successor = self._hand_over(http=False)
        return bool(successor and successor.eof_received())

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody spoke."""
        self._leave()

    def dismiss(self) -> None:
        """Close a connection that has not said what it is."""
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        self._timer.cancel()
        self._port.left(self)

    def _hand_over(self, *, http: bool) -> asyncio.Protocol | None:
        self._leave()
        successor = self._port.protocol_for(self._transport, http=http)
        if successor is None:
            self._transport.abort()
        else:
            self._transport.set_protocol(successor)
            successor.connection_made(self._transport)
            successor.data_received(self._head)
        return successor
