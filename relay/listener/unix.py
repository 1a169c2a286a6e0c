"""Unix sockets: bound to a path with a mode; a file left by a dead relay is replaced, one in use never.

Owned here: the file. It appears with its mode, never a wider one, and is removed at stop only if it is still the one
that was made here. Imported by the supervisor, so it imports little.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from relay.errors import ExitCode, Problem, RelayError
from relay.listener.tcp import BACKLOG


class UnixFile(NamedTuple):
    """The file of a socket that was bound here, and how to know it again."""

    path: str
    device: int
    inode: int
    born: int
    """Nanoseconds: the number of an inode alone is used again at once."""

    @classmethod
    def find(cls, path: str) -> UnixFile:
        """Look at what is there.

        Raises:
            OSError: nothing is, or it cannot be seen.
        """
        found = Path(path).lstat()
        return cls(path, found.st_dev, found.st_ino, found.st_mtime_ns)

    def chmod(self, mode: int) -> None:
        """Change the permission bits."""
        with suppress(OSError):
            Path(self.path).chmod(mode)

    def unlink(self) -> None:
        """Remove the file, if it is still the one that was made here."""
        with suppress(OSError):
            if UnixFile.find(self.path) == self:
                Path(self.path).unlink()


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
        from relay.listener.owner import find_unix_owner  # noqa: PLC0415 - only who fails pays for it

        message, fix = f"cannot bind unix {path}: in use{find_unix_owner(path)}", "stop it, or listen on another path"
    elif error.errno == errno.ENOENT:
        fix = f"make the directory {directory}"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        fix = f"the relay's user must be able to write to {directory}"
    elif error.errno == errno.EEXIST:
        fix = "remove it, or listen on another path"
    return RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
