"""TCP sockets: bound and listening. Who reads them does not care who bound them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from relay.listener.sockets import explain

if TYPE_CHECKING:
    from relay.listener.sockets import Address

_RECEIVE_BUFFER: Final = 256 * 1024
"""Asked of the kernel for each connection, which would else grow to 6 MiB while the relay is behind."""


BACKLOG: Final = 1_024
"""Connections that may wait to be taken; those beyond the limit are taken too, and closed."""


def bind_tcp(address: Address) -> socket.socket:
    """Bind an address and listen.

    Raises:
        RelayError: RLY101, the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise explain(error, "tcp", address) from error
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier relay may still linger
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise explain(error, "tcp", address) from error
    return sock
