"""Copies of what is received, to other daemons: the same rules as in the kernel, whose tee.h has the theory.

Each target has a place; a datagram is counted once at each, as sent (the system took it, which is all that UDP can say)
or as dropped. Sending never waits.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.hotpath.python.receive import Peername

    Batch = Sequence[tuple[bytes, Peername]]
    """Datagrams and their senders."""


_EMPTY: Final = -1


class Tee:
    """State: the descriptors of the targets, which belong to who set them, and the counts of each place."""

    def __init__(self) -> None:
        self._fds: Sequence[int] = ()
        self._sent = [0] * limits.TEES_MOST
        self._dropped = [0] * limits.TEES_MOST

    def __repr__(self) -> str:
        """Report the targets."""
        return f"<Tee {self._fds}, {sum(self._sent)} sent, {sum(self._dropped)} dropped>"

    def set(self, fds: Sequence[int]) -> None:
        """Replace the targets.

        Datagrams of senders that `allow` admits go on as they came, whatever their lines are worth (a truncated one
        without its last line); lines of streams as datagrams of at most `limits.COPY_BYTES`, unless one line is longer.

        Args:
            fds: connected datagram sockets, at most `limits.TEES_MOST`, which the caller keeps open until they are
                replaced; -1 leaves its place empty, and at the place of -2 all copies are dropped.

        Raises:
            ValueError: there are too many.
            OSError: one is no socket; nothing has changed.
        """
        if len(fds) > limits.TEES_MOST:
            raise ValueError(f"at most {limits.TEES_MOST} targets")
        for fd in fds:
            if fd >= 0:
                _borrow(fd).detach()
        self._fds = tuple(fds)

    def send(self, batch: Batch) -> None:
        """Copy what was received to every target, one datagram for each."""
        if self._fds:
            self._send([_whole_lines(datagram) for datagram, _ in batch])

    def send_lines(self, batch: Batch) -> None:
        """Copy what came over a stream, as datagrams of whole lines."""
        if self._fds:
            self._send([text for datagram, _ in batch for text in split_lines(_whole_lines(datagram))])

    def _send(self, datagrams: Sequence[bytes]) -> None:
        for place, fd in enumerate(self._fds):
            if fd != _EMPTY:
                sent = _send_to(fd, datagrams) if fd >= 0 else 0
                self._sent[place] += sent
                self._dropped[place] += len(datagrams) - sent

    def counts(self) -> list[tuple[int, int]]:
        """Return datagrams (sent, dropped) by place."""
        return list(zip(self._sent, self._dropped, strict=True))


def split_lines(text: bytes) -> Iterator[bytes]:
    """Yield datagrams of whole lines, each of at most `limits.COPY_BYTES`; a longer line stands alone."""
    start = 0
    while start < len(text):
        end = _end(text, start)
        if end > start:
            yield text[start:end]
        start = end + 1


def _end(text: bytes, start: int) -> int:
    """Find the last line feed that leaves a datagram short enough, else the next one; at once before a blank line."""
    if text.startswith(b"\n", start):
        return start
    if len(text) - start <= limits.COPY_BYTES:
        return len(text)
    end = text.rfind(b"\n", start, start + limits.COPY_BYTES + 1)
    if end < 0:
        end = text.find(b"\n", start + limits.COPY_BYTES)
    return end if end >= 0 else len(text)


def _whole_lines(datagram: bytes) -> bytes:
    """Cut the last line off a datagram that was truncated, as the hot path does for itself."""
    return datagram if len(datagram) <= limits.DATAGRAM_BYTES else datagram.rpartition(b"\n")[0]


def _send_to(fd: int, datagrams: Sequence[bytes]) -> int:
    """Return how many the system took.

    An error may be that of an earlier datagram (ECONNREFUSED), which is told once, so each is met twice before it
    counts. What is too long is then dropped alone; any other error would meet the rest as well, which is dropped too.
    """
    sent = 0
    sock = _borrow(fd)
    try:
        for datagram in datagrams:
            failure = _try(sock, datagram) and _try(sock, datagram)
            if failure and failure != errno.EMSGSIZE:
                break
            sent += not failure
    finally:
        sock.detach()
    return sent


def _borrow(fd: int) -> socket.socket:
    """Wrap somebody else's descriptor; a given family spares three system calls, and need not be right."""
    return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, fd)


def _try(sock: socket.socket, datagram: bytes) -> int:
    """Return 0, or the number of the error."""
    try:
        sock.send(datagram, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
