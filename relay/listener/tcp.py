"""TCP sockets: bound and listening. Who reads them does not care who bound them."""

from __future__ import annotations

import errno
import socket
from typing import Final

from relay.config.rules import parse_address
from relay.errors import ExitCode, Problem, RelayError
from relay.listener.owner import find_owner
from relay.listener.unix import BACKLOG

_RECEIVE_BUFFER: Final = 256 * 1024
"""Asked of the kernel for each connection, which would else grow to 6 MiB while the relay is behind."""


def bind_tcp(address: str) -> socket.socket:
    """Bind `ADDRESS:PORT` and listen.

    Raises:
        RelayError: RLY101, the address cannot be bound.
    """
    host, port = parse_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise _refusal(address, port, error) from error
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier relay may still linger
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(address, port, error) from error
    return sock


def _refusal(address: str, port: int, error: OSError) -> RelayError:
    message, fix = f"cannot bind tcp {address}: {error.strerror}", "listen on another address"
    if error.errno == errno.EADDRINUSE:
        message = f"cannot bind tcp {address}: in use{find_owner(port, 'tcp')}"
        fix = "stop it, or listen on another port"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
