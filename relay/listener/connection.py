"""A listening stream socket and its connections: who they are and what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
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
        """Closed at once: too many, or not allowed."""
        self.idle_closed = 0

    def __repr__(self) -> str:
        """Report the connections."""
        return f"<StreamListener {self.label}, {self.connections} connections>"


class Connection:
    """State: what one sender has not finished, and when it last finished something."""

    __slots__ = ("framing", "last", "listener", "peer", "socket")

    def __init__(self, sock: socket.socket, listener: StreamListener, *, peer: Peername, now: float) -> None:
        self.socket = sock
        self.listener = listener
        self.peer = peer
        self.framing = listener.framing()
        self.last = now

    def __repr__(self) -> str:
        """Report the sender."""
        return f"<Connection {self.peer} {self.framing!r}>"


def label_of(form: str, bound: tuple[str, int] | str) -> str:
    """Return `tcp://127.0.0.1:8125` or `unix-stream:PATH`."""
    if isinstance(bound, str):
        return f"{form}:{bound}"
    host, port = bound[:2]
    return f"{form}://{f'[{host}]' if ':' in host else host}:{port}"
