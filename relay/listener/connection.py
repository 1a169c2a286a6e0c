"""A listening stream socket and its connections: who they are and what came of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.listener.framing import Framing

Peername = tuple[str, int] | None


class Sink(Protocol):
    """Who takes lines."""

    def feed(self, datagram: bytes, now: float, peer: Peername = None) -> None:
        """Take complete lines."""
        ...

    def reject(self, line: bytes, reason: str, now: float, peer: Peername = None) -> None:
        """Count a line that is not one."""
        ...

    def admits(self, peer: Peername) -> bool:
        """Say whether a sender may send."""
        ...


class StreamListener:
    """State: a listening socket, and what came of its connections."""

    def __init__(self, sock: socket.socket, *, label: str, framing: Callable[[], Framing]) -> None:
        self.socket = sock
        self.label = label
        """Name in metrics: `tcp://127.0.0.1:8125`, `unix-stream:PATH`, `unix-datadog:PATH`."""
        self.framing = framing
        self.bound = sock.getsockname()
        self.datagrams = 0
        """Chunks of lines, or frames, that went to the hot path."""
        self.connections = 0
        """Open now."""
        self.refused = 0
        """Closed at once: not allowed."""
        self.idle_closed = 0
        """Closed because nothing came for too long."""
        self.evicted = 0
        """Closed because they were idle longest when another came, and there was no room."""

    def __repr__(self) -> str:
        """Report the connections."""
        return f"<StreamListener {self.label}, {self.connections} connections>"


class Connection:
    """State: what one sender has not finished, when it last sent a byte, and whether the relay hung up."""

    __slots__ = ("framing", "is_hung_up", "last", "listener", "peer", "socket")

    def __init__(self, sock: socket.socket, listener: StreamListener, *, peer: Peername, now: float) -> None:
        self.socket = sock
        self.listener = listener
        self.peer = peer
        self.framing = listener.framing()
        self.last = now
        self.is_hung_up = False
        """The end of the stream is the relay's doing: it says nothing about the last line."""

    def __repr__(self) -> str:
        """Report the sender."""
        return f"<Connection {self.peer} {self.framing!r}>"

    @property
    def is_open(self) -> bool:
        """Whether its socket is."""
        return self.socket.fileno() >= 0


def keep_alive(sock: socket.socket) -> None:
    """Let the kernel find a peer that is gone without a word, within two minutes; it also keeps state of NATs alive."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def label_of(form: str, bound: tuple[str, int] | str) -> str:
    """Return `tcp://127.0.0.1:8125` or `unix-stream:PATH`."""
    if isinstance(bound, str):
        return f"{form}:{bound}"
    host, port = bound[:2]
    return f"{form}://{f'[{host}]' if ':' in host else host}:{port}"
