"""What a worker says: datagrams of sd_notify(3) on a pair of sockets, one end of which that worker alone has.

A pair has no address: no other process of the machine can write to it, and none can fill its queue.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.listener.socket_activation import give_descriptor
from relay.supervisor.notify import CHANNEL

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_MESSAGE_BYTES: Final = 4096
_MOST: Final = 64
"""Messages read before others get their turn."""


class Message(NamedTuple):
    """Assignments like `READY=1`, and the descriptor that came with them, which is the reader's to close."""

    assignments: list[str]
    descriptor: int | None = None


class Messages:
    """State: both ends of a pair of datagram sockets."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket, self._given = socket.socketpair(socket.AF_UNIX, kind)

    def __repr__(self) -> str:
        """Report the descriptor."""
        return f"<Messages {self._socket.fileno()}>"

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._socket.fileno()

    def give(self, environ: MutableMapping[str, str], *, sockets: int) -> None:
        """Let the program that this process becomes next by exec write, beside the sockets it is given."""
        give_descriptor(self._given.fileno(), CHANNEL, environ, sockets=sockets)

    def close_given(self) -> None:
        """Leave the other end to the worker."""
        self._given.close()

    def close(self) -> None:
        """Read nothing any more."""
        self._socket.close()
        self._given.close()

    def read(self) -> list[Message]:
        """Take what waits, and no more than some."""
        found: list[Message] = []
        while len(found) < _MOST:
            try:
                text, descriptors, _, _ = socket.recv_fds(self._socket, _MESSAGE_BYTES, 1)
            except (BlockingIOError, ConnectionResetError):
                break
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            found.append(Message(text.decode("utf-8", "replace").splitlines(), next(iter(descriptors), None)))
        return found
