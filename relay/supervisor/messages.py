"""What the worker says: datagrams of sd_notify(3) on a socket of our own; the kernel says who sent them."""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred: pid, uid, gid."""
_MESSAGE_BYTES: Final = 4096


class Message(NamedTuple):
    """Assignments like `READY=1`, and who sent them."""

    pid: int
    assignments: list[str]


class Messages:
    """State: a datagram socket with an abstract address, which no file system has to hold."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("")
        self.address = f"@{self._socket.getsockname()[1:].decode()}"
        """For NOTIFY_SOCKET. Anybody on this machine may write to it: look at the pid."""

    def __repr__(self) -> str:
        """Report the address."""
        return f"<Messages {self.address}>"

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear nothing any more."""
        self._socket.close()

    def read(self) -> list[Message]:
        """Take what waits."""
        found: list[Message] = []
        while True:
            try:
                message = self._read()
            except BlockingIOError:
                return found
            if message:
                found.append(message)

    def _read(self) -> Message | None:
        text, ancillary, _, _ = self._socket.recvmsg(_MESSAGE_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(content) == _CREDENTIALS.size:
                return Message(_CREDENTIALS.unpack(content)[0], text.decode("utf-8", "replace").splitlines())
        return None
