"""TCP sockets: bound and listening. Imported by the supervisor, so it imports little."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

BACKLOG: Final = 1_024
"""Connections that may wait to be taken; those beyond the limit are taken too, and closed."""
_RECEIVE_BUFFER: Final = 256 * 1024
"""Asked of the kernel for each connection, which would else grow to 6 MiB while the relay is behind."""


def bind_tcp(host: str, port: int, *, beside: Iterable[socket.socket] = ()) -> socket.socket:
    """Bind an address and listen.

    Args:
        host: address.
        port: number.
        beside: sockets of ours with the same port: one of every address may be bound beside them.

    Raises:
        OSError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier relay may still linger
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        for other in beside:  # both must allow it, and both must belong to one user
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
