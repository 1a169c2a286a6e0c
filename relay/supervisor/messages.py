"""The messages of a worker: datagrams of sd_notify(3) on a socket pair, one end of which only that worker has.

A socket pair has no address, so no other process can write to it or fill its queue. This module does not interpret
them.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.listener.socket_activation import pass_descriptor
from relay.supervisor.protocol import CHANNEL, MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_MOST: Final = 64
"""Messages per read, so that other events get their turn."""


class Message(NamedTuple):
    """Assignments like `READY=1`, and the descriptor that came with them; the reader must close it."""

    assignments: list[str]
    descriptor: int | None = None


class Messages:
    """State: both ends of a pair of datagram sockets."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket, self._given = socket.socketpair(socket.AF_UNIX, kind)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def give(self, environ: MutableMapping[str, str], *, sockets: int) -> None:
        """Pass the worker's end to the program that this process executes next, after its `sockets` descriptors."""
        pass_descriptor(self._given.fileno(), CHANNEL, environ, sockets=sockets)

    def close_given(self) -> None:
        """Close the worker's end in this process."""
        self._given.close()

    def close(self) -> None:
        """Close both ends."""
        self._socket.close()
        self._given.close()

    def send(self, message: str) -> None:
        """Send a message to the worker; it is lost if the worker has gone or does not read."""
        with suppress(OSError):
            self._socket.send(message.encode()[:MESSAGE_BYTES])

    def read(self) -> list[Message]:
        """Return the waiting messages, at most `_MOST`."""
        found: list[Message] = []
        while len(found) < _MOST:
            try:
                text, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
            except (BlockingIOError, ConnectionResetError):
                break
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            found.append(Message(text.decode("utf-8", "replace").splitlines(), next(iter(descriptors), None)))
        return found
