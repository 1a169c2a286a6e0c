"""TCP and Unix stream sockets and their connections, read in short turns so that the event loop never stalls.

All sockets are in one epoll set, which the loop watches as a single descriptor. A turn lasts a few milliseconds and
reads one chunk from each readable connection, round robin. Unread bytes stay in the kernel's buffer; when it is full,
the sender waits. This is the only back-pressure: feeding is synchronous, so nothing queues here and nothing is lost. A
uvloop transport would read up to 32 x 256 KiB of one connection at a time.

Clients keep a connection for days, and the first line that a client sends after its end is lost without an error. So an
idle connection is closed only if a limit is configured. At the limit of connections the one that was idle longest is
closed to make room; what it had sent is read first. TCP keep-alive finds peers that vanished.

Bounded (I6): the number of connections, the bytes of an unfinished line. Nothing is ever sent back (I9). Does not know:
how a socket was bound, the grammar of a line.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Final, Protocol

from relay import limits
from relay.errors import reason_of
from relay.listener.addresses import DATADOG, TCP, label_of
from relay.listener.framing import FrameFraming, LineFraming

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.context import Context
    from relay.lines import Piece
    from relay.listener.addresses import BoundSocket
    from relay.listener.framing import Framing


# --- a listening socket and its connections --------------------------------------------------------------------------

Peername = tuple[str, int] | None


class Sink(Protocol):
    """Consumer of lines: the hot path."""

    def feed(self, datagram: bytes, now: float, peer: Peername = None, listener: int = 0) -> None:
        """Parse and count complete lines."""
        ...

    def reject(self, line: bytes, reason: str, now: float, peer: Peername = None, listener: int = 0) -> None:
        """Count a line that is rejected before parsing."""
        ...

    def admits(self, peer: Peername) -> bool:
        """Return whether a sender is allowed."""
        ...


class StreamListener:
    """State: a listening socket, and counts of its connections."""

    def __init__(self, sock: socket.socket, *, label: str, index: int, framing: Callable[[], Framing]) -> None:
        self.socket = sock
        self.index = index
        """Number of this socket among all listeners, for `senders`."""
        self.label = label
        """Name in metrics: `tcp://127.0.0.1:8125`, `unix-stream:PATH`, `unix-datadog:PATH`."""
        self.framing = framing
        self.bound = sock.getsockname()
        self.datagrams = 0
        """Chunks of lines, or frames, that went to the hot path."""
        self.connections = 0
        """Connections open now."""
        self.refused = 0
        """Connections closed at once: the sender is not in `[listen] allow`."""
        self.idle_closed = 0
        """Connections closed after `stream_idle` without a byte."""
        self.evicted = 0
        """Connections closed to make room for a new one; the longest idle goes first."""


class Connection:
    """State: the unfinished line of one sender, the time of its last byte, and whether the relay hung up."""

    __slots__ = ("framing", "is_hung_up", "last", "listener", "peer", "socket")

    def __init__(self, sock: socket.socket, listener: StreamListener, *, peer: Peername, now: float) -> None:
        self.socket = sock
        self.listener = listener
        self.peer = peer
        self.framing = listener.framing()
        self.last = now
        self.is_hung_up = False
        """The relay closed the stream: an unterminated last line is truncated."""

    @property
    def is_open(self) -> bool:
        """Whether the socket is open."""
        return self.socket.fileno() >= 0


def keep_alive(sock: socket.socket) -> None:
    """Enable TCP keep-alive: a vanished peer is found within two minutes, and NAT entries stay alive."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


_TURN: Final = 0.003
"""Longest turn, in seconds; then the loop serves its other callbacks. Same as for datagrams."""
_READY: Final = 64
"""Maximum number of events per call of epoll."""
_ACCEPTED: Final = 64
"""Maximum number of connections accepted from one socket in a row."""
_INTERVAL: Final = 1.0
"""Interval between two checks for idle connections, in seconds."""
_CANDIDATES: Final = 16
"""Number of longest-idle connections that are read once to find a silent one, before the first of them is closed."""
_LAST_CHUNKS: Final = 16
"""Maximum number of chunks read from a connection being closed. A Unix socket holds fewer; a sender may go on."""
_STOP: Final = 0.5
"""Time limit in seconds of reading at stop what has arrived, because senders may go on."""


class Streams:
    """State: the listeners, the open connections, and the descriptors known to be readable."""

    def __init__(  # noqa: PLR0913 - two neighbours, two limits, two facts about the sockets
        self,
        *,
        sink: Sink,
        context: Context,
        max_connections: int,
        idle: float,
        line_limit: int,
        first_index: int = 0,
        is_held: bool = False,
    ) -> None:
        self._sink = sink
        self._first_index = first_index
        """Number of the first socket here among all listeners."""
        self._clock, self._loss_log = context.clock, context.loss_log
        self.max_connections = max_connections
        """Maximum number of open connections."""
        self._idle = idle
        self._line_limit = line_limit
        self.listeners: list[StreamListener] = []
        self._listening: dict[int, StreamListener] = {}
        """Listeners registered with epoll, by descriptor."""
        self._connections: dict[int, Connection] = {}
        """By descriptor; ordered by the last byte, longest idle first."""
        self._ready: deque[int] = deque()
        self._epoll = select.epoll()
        self._is_held = is_held
        """The supervisor keeps the listening sockets open for the next worker: `stop` must not close them."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: Exception | None = None

    def add(self, bound: BoundSocket) -> StreamListener:
        """Add a listening socket: frames with a length prefix on a `DATADOG` one, lines on any other."""
        bound.socket.setblocking(False)
        label = label_of(bound.kind if bound.kind == TCP else f"unix-{bound.kind}", bound.socket.getsockname())
        framing = FrameFraming if bound.kind == DATADOG else partial(LineFraming, self._line_limit)
        index = self._first_index + len(self.listeners)
        listener = StreamListener(bound.socket, label=label, index=index, framing=framing)
        self.listeners.append(listener)
        return listener

    def start(self) -> None:
        """Begin to accept connections, on the running loop."""
        for listener in self.listeners:
            self._listen(listener)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._turn)

    async def run(self) -> None:
        """Call `check` once a second until cancelled."""
        while True:
            await self._clock.sleep(_INTERVAL)
            self.check()

    def check(self) -> None:
        """Close connections idle beyond the configured limit; accept again on sockets where accept had failed.

        Raises:
            Exception: the one that ended a turn.
        """
        if self._failure is not None:
            raise self._failure
        if self._idle:
            self._close_idle(self._clock.monotonic() - self._idle)
        for listener in self.listeners:
            if self._loop is not None and listener.socket.fileno() not in self._listening:
                self._listen(listener)

    def _close_idle(self, before: float) -> None:
        for connection in list(takewhile(lambda one: one.last < before, self._connections.values())):
            if self._read_and_check_silence(connection):
                connection.listener.idle_closed += 1
                self._hang_up(connection, why=f"it was idle for [listen] stream_idle, {self._idle:g} s")

    def _listen(self, listener: StreamListener) -> None:
        self._listening[listener.socket.fileno()] = listener
        self._epoll.register(listener.socket, select.EPOLLIN)

    # --- turns --------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Serve one turn; keep an exception for `check` to raise, since asyncio would only log it in a callback."""
        try:
            self._serve_some()
        except Exception as error:  # noqa: BLE001 - `check` raises it, which ends the relay
            self._failure = error
            self._stop_turns()

    def _serve_some(self) -> None:
        """Serve readable descriptors for a few milliseconds; the others keep their order for the next turn."""
        ends = self._clock.monotonic() + _TURN
        while self._ready or self._poll():
            self._serve(self._ready.popleft())
            if self._clock.monotonic() >= ends:
                return

    def _poll(self) -> bool:
        self._ready.extend(fd for fd, _ in self._epoll.poll(0, _READY))
        return bool(self._ready)

    def _serve(self, fd: int) -> None:
        connection = self._connections.get(fd)
        if connection is not None:
            self._read(connection)
        elif fd in self._listening:
            self._accept(self._listening[fd])

    def _accept(self, listener: StreamListener) -> None:
        for _ in range(_ACCEPTED):
            try:
                sock, address = listener.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors or memory: epoll would report it for ever
                self._epoll.unregister(self._listening.pop(listener.socket.fileno()).socket)
                self._warn("stream connections wait", listener, why=reason_of(error))
                return
            self._welcome(sock, listener, address[:2] if isinstance(address, tuple) else None)

    def _welcome(self, sock: socket.socket, listener: StreamListener, peer: Peername) -> None:
        if not self._sink.admits(peer):
            sock.close()
            listener.refused += 1
            self._warn("stream connection refused", listener, sender=_sender(peer), why="it is not in [listen] allow")
            return
        if len(self._connections) >= self.max_connections:
            self._make_room()
        sock.setblocking(False)
        if peer is not None:
            keep_alive(sock)
        self._connections[sock.fileno()] = Connection(sock, listener, peer=peer, now=self._clock.monotonic())
        listener.connections += 1
        self._epoll.register(sock, select.EPOLLIN)

    def _warn(self, event: str, listener: StreamListener, why: str, **fields: str | int) -> None:
        """Warn of connections of a listener."""
        known: dict[str, Any] = fields
        self._loss_log.warn(event, code="RLY205", subject=listener.label, listener=listener.label, why=why, **known)

    def _make_room(self) -> None:
        """Close the longest-idle connection to make room for another. One with unread bytes is read and spared."""
        for connection in list(islice(self._connections.values(), _CANDIDATES)):
            if self._read_and_check_silence(connection):
                break
        if len(self._connections) >= self.max_connections:
            idlest = next(iter(self._connections.values()))
            idlest.listener.evicted += 1
            self._hang_up(idlest, why=f"another came, and {self.max_connections} are open")

    def _read_and_check_silence(self, connection: Connection) -> bool:
        """Read one chunk; return whether there was nothing to read and the connection is still open."""
        return not self._read(connection) and connection.is_open

    def _hang_up(self, connection: Connection, *, why: str) -> None:
        """Close a connection from our side, after reading what the sender sent until now."""
        idle, sender = self._clock.monotonic() - connection.last, _sender(connection.peer)
        event = "stream connection closed"
        self._warn(event, connection.listener, sender=sender, idle_seconds=round(idle), why=why)
        self._shut(connection)
        for _ in range(_LAST_CHUNKS):
            if not self._read(connection):
                break
        if connection.is_open:
            self._end(connection, in_order=False)

    def _shut(self, connection: Connection) -> None:
        """Shut down reading: a Unix sender's next write fails, so the bytes read afterwards are the last."""
        connection.is_hung_up = True
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RD)

    def _read(self, connection: Connection) -> bool:
        """Read one chunk; return whether bytes came and more may follow."""
        try:
            chunk = connection.socket.recv(limits.STREAM_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            self._end(connection, in_order=False)
            return False
        if not chunk:
            self._end(connection, in_order=not connection.is_hung_up)
            return False
        self._touch(connection)
        self._feed(connection, connection.framing.receive(chunk))
        if connection.framing.broken:
            self._end(connection, in_order=False)
        return not connection.framing.broken

    def _feed(self, connection: Connection, pieces: list[Piece]) -> None:
        now, listener = self._clock.wall(), connection.listener
        for text, reason in pieces:
            if reason:
                self._sink.reject(text, reason, now, connection.peer, listener.index)
            else:
                self._sink.feed(text, now, connection.peer, listener.index)
                listener.datagrams += 1

    def _touch(self, connection: Connection) -> None:
        """Record activity: move the connection to the end of the idle order."""
        connection.last = self._clock.monotonic()
        fd = connection.socket.fileno()
        self._connections[fd] = self._connections.pop(fd)

    def _end(self, connection: Connection, *, in_order: bool) -> None:
        self._feed(connection, connection.framing.end(in_order=in_order))
        connection.listener.connections -= 1
        del self._connections[connection.socket.fileno()]
        connection.socket.close()

    # --- stop ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop accepting, read what has arrived, close. Connections not accepted yet stay for the next worker."""
        self._stop_turns()
        for listener in self.listeners:
            if not self._is_held:
                listener.socket.close()
        ends = self._clock.monotonic() + _STOP
        self._drain(ends)
        for connection in self._connections.values():
            self._shut(connection)
        self._drain(ends)
        for connection in list(self._connections.values()):
            self._end(connection, in_order=False)
        self._listening.clear()
        self._epoll.close()

    def _stop_turns(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._loop = None

    def _drain(self, ends: float) -> None:
        """Read round robin until `ends`, so that a sender that goes on does not use up the time of the others."""
        unread = list(self._connections.values())
        while unread and self._clock.monotonic() < ends:
            unread = [connection for connection in unread if self._read(connection)]


def _sender(peer: Peername) -> str:
    """Return the address of a client; "" for a Unix socket."""
    return peer[0] if peer else ""
