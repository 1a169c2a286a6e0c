"""Binds UDP, TCP and Unix sockets and sets their buffers. The supervisor imports this module, so it imports little.

A Unix socket's file is owned here: it never has wider permissions than asked for, a file left by a dead relay is
replaced, and a path in use is an error. Does not know: inherited sockets, readers.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.addresses import UnixFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.listener.addresses import Address


_SO_RCVBUFFORCE: Final = 33


def bind_udp(
    address: Address, receive_buffer: int, *, shared: bool, user: int | None = None, dual: bool = False
) -> socket.socket:
    """Bind one socket.

    Args:
        address: address to bind.
        receive_buffer: bytes asked for.
        shared: set SO_REUSEPORT: several sockets may be bound to the address.
        user: id of the user that owns the socket; None: the user of this process.
        dual: an IPv6 address receives IPv4 as well.

    Raises:
        OSError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if user is not None:
            os.fchown(sock.fileno(), user, -1)
        ask_for_buffer(sock, receive_buffer)
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def ask_for_buffer(sock: socket.socket, size: int) -> None:
    """Ask for a receive buffer of `size` bytes; with CAP_NET_ADMIN also beyond the system's limit."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        except PermissionError:
            continue
        break


def enlarge_buffer(sock: socket.socket, size: int) -> None:
    """Enlarge the receive buffer of an inherited socket, if permitted.

    Only SO_RCVBUFFORCE is used: SO_RCVBUF is capped by the system's limit and could shrink the buffer.
    """
    if granted_buffer(sock) < size:
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)


def granted_buffer(sock: socket.socket) -> int:
    """Return the bytes of the receive buffer; the kernel keeps as much again for its own use."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


# --- TCP -------------------------------------------------------------------------------------------------------------

BACKLOG: Final = 1_024
"""Connections that may wait for accept, for every stream socket."""
_RECEIVE_BUFFER: Final = 256 * 1024
"""Receive buffer of each connection, in bytes; without it the kernel lets the buffer grow to 6 MiB."""


def bind_tcp(host: str, port: int, *, beside: Iterable[socket.socket] = ()) -> socket.socket:
    """Bind an address and listen.

    Args:
        host: address.
        port: number.
        beside: our own sockets on the same port, which would otherwise prevent binding the wildcard address.

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
        for other in beside:  # both sockets need SO_REUSEPORT and the same user
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


# --- Unix ------------------------------------------------------------------------------------------------------------


def bind_unix(path: str, *, kind: socket.SocketKind, mode: int) -> tuple[socket.socket, UnixFile]:
    """Bind a socket to a path; a stream socket also listens.

    Args:
        path: path of the socket's file, at most 107 bytes.
        kind: SOCK_DGRAM or SOCK_STREAM.
        mode: permission bits of the file; sending needs the right to write.

    Raises:
        RelayError: RLY101, the path is in use, is not a socket, or cannot be used.
    """
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        _make_room(path, kind)
        # bind creates the file with the socket's mode less the umask: never wider than `mode`, even before the chmod.
        os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        Path(path).chmod(mode)
        file = UnixFile.find(path)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(path, error) from error
    return sock, file


def _make_room(path: str, kind: socket.SocketKind) -> None:
    """Remove the socket file that a dead process left.

    Raises:
        OSError: EADDRINUSE, a process listens on it; EEXIST, it is not a socket.
    """
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "it exists and is no socket")
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(path) != errno.ECONNREFUSED:  # also another socket type, a full queue, no permission
            raise OSError(errno.EADDRINUSE, "in use")
    Path(path).unlink()


def _refusal(path: str, error: OSError) -> RelayError:
    message, fix = f"cannot bind unix {path}: {error.strerror or error}", "listen on another path"
    directory = Path(path).parent
    if error.errno == errno.EADDRINUSE:
        from relay.listener.socket_owner import find_unix_owner  # noqa: PLC0415 - needed after a failure only

        message, fix = f"cannot bind unix {path}: in use{find_unix_owner(path)}", "stop it, or listen on another path"
    elif error.errno == errno.ENOENT:
        fix = f"make the directory {directory}"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = f"the relay's user must be able to write to {directory}"
    elif error.errno == errno.EEXIST:
        fix = "remove it, or listen on another path"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
