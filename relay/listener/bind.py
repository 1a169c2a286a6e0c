"""Binds UDP, TCP and Unix sockets, and asks the kernel for their buffers."""

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
        address: where.
        receive_buffer: bytes asked for.
        shared: others may have bound it, too, and so may others after us.
        user: whom it belongs to; None: to us.
        dual: an IPv6 address hears IPv4 as well.

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
    """Ask for a receive buffer of so many bytes, beyond the system's limit if we may."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
        except PermissionError:
            continue
        break


def enlarge_buffer(sock: socket.socket, size: int) -> None:
    """Ask for more than another process asked for, if we may; an unprivileged wish could only shrink it."""
    if granted_buffer(sock) < size:
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)


def granted_buffer(sock: socket.socket) -> int:
    """Return the bytes of the receive buffer; the kernel keeps as much again for its own use."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


# --- tcp -------------------------------------------------------------------------------------------------------------

# TCP sockets: bound and listening. Imported by the supervisor, so it imports little.

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


# --- unix ------------------------------------------------------------------------------------------------------------

# Unix sockets: bound to a path with a mode; a file left by a dead relay is replaced, one in use never.
#
# Owned here: the file. It appears with its mode, never a wider one, and is removed at stop only if it is still the one
# that was made here. Imported by the supervisor, so it imports little.


def bind_unix(path: str, *, kind: socket.SocketKind, mode: int) -> tuple[socket.socket, UnixFile]:
    """Bind a socket to a path; one of streams listens.

    Args:
        path: of the socket's file, at most 107 bytes.
        kind: SOCK_DGRAM or SOCK_STREAM.
        mode: permission bits of the file; who may write to it may send.

    Raises:
        RelayError: RLY101, the path is in use, is something else, or cannot be used.
    """
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        _make_room(path, kind)
        # The mode of the socket and the umask make the mode of its file: never wider than asked for, not even now.
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
    """Remove what a dead relay left.

    Raises:
        OSError: EADDRINUSE, somebody listens there; EEXIST, it is no socket.
    """
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "it exists and is no socket")
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(path) != errno.ECONNREFUSED:  # also: another kind of socket, a full queue, no right
            raise OSError(errno.EADDRINUSE, "in use")
    Path(path).unlink()


def _refusal(path: str, error: OSError) -> RelayError:
    message, fix = f"cannot bind unix {path}: {error.strerror or error}", "listen on another path"
    directory = Path(path).parent
    if error.errno == errno.EADDRINUSE:
        from relay.listener.socket_owner import find_unix_owner  # noqa: PLC0415 - only who fails pays for it

        message, fix = f"cannot bind unix {path}: in use{find_unix_owner(path)}", "stop it, or listen on another path"
    elif error.errno == errno.ENOENT:
        fix = f"make the directory {directory}"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = f"the relay's user must be able to write to {directory}"
    elif error.errno == errno.EEXIST:
        fix = "remove it, or listen on another path"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
