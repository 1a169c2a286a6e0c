"""Unix sockets: bound to a path with a mode; a file left by a dead relay is replaced, one in use never.

Owned here: the file. It appears with its mode, never a wider one, and is removed at stop only if it is still the one
that was made here. Who reads the socket does not care who bound it.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.owner import find_unix_owner
from relay.listener.udp import UdpListener

if TYPE_CHECKING:
    from pathlib import Path

    from relay.clock import Clock
    from relay.listener.udp import Sink

BACKLOG: Final = 1_024
"""Connections that may wait to be taken; those beyond the limit are taken too, and closed."""


class UnixDatagramListener(UdpListener):
    """State: as of a UDP socket; but the kernel drops nothing here, it lets senders wait.

    Its queue is short, 10 datagrams by default, and every sender waits when it is full: no delay, whatever the reader
    could save by it.
    """

    def __init__(self, sock: socket.socket, *, sink: Sink, clock: Clock) -> None:
        super().__init__(address=f"unix-dgram:{sock.getsockname()}", receive_buffer=0, sink=sink, clock=clock)
        self._socket = sock

    @property
    def label(self) -> str:
        """Name of this socket in metrics."""
        return self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixSocket:
    """A bound socket and the file it made."""

    socket: socket.socket
    path: Path
    mark: tuple[int, int, int]
    """Device, inode and time of birth: the number of an inode alone is used again at once."""

    def unlink(self) -> None:
        """Remove the file, if it is still the one that was made here."""
        with suppress(OSError):
            if _mark(self.path) == self.mark:
                self.path.unlink()


def bind_unix(path: Path, *, kind: socket.SocketKind, mode: int) -> UnixSocket:
    """Bind a socket to a path; a stream socket listens afterwards.

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
        sock.bind(str(path))
        path.chmod(mode)
        mark = _mark(path)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(path, error) from error
    return UnixSocket(socket=sock, path=path, mark=mark)


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _make_room(path: Path, kind: socket.SocketKind) -> None:
    """Remove what a dead relay left.

    Raises:
        OSError: EADDRINUSE, somebody listens there; EEXIST, it is no socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "it exists and is no socket")
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:  # also: another kind of socket, a full queue, no right
            raise OSError(errno.EADDRINUSE, "in use")
    path.unlink()


def _refusal(path: Path, error: OSError) -> RelayError:
    message, fix = f"cannot bind unix {path}: {error.strerror or error}", "listen on another path"
    if error.errno == errno.EADDRINUSE:
        message, fix = f"cannot bind unix {path}: in use{find_unix_owner(path)}", "stop it, or listen on another path"
    elif error.errno == errno.ENOENT:
        fix = f"make the directory {path.parent}"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = f"the relay's user must be able to write to {path.parent}"
    elif error.errno == errno.EEXIST:
        fix = "remove it, or listen on another path"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
