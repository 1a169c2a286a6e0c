"""Sends copies of received data to other daemons; kernel/tee.h describes the design, and the rules are the same.

Each target has a place, which counts every datagram once: as sent (the system accepted it, which is all that UDP
reports) or as dropped. Sending never blocks.
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
    """State: the descriptors of the targets, which the caller of `set` owns, and the counts of each place."""

    def __init__(self) -> None:
        self._fds: Sequence[int] = ()
        self._sent = [0] * limits.TEES_MOST
        self._dropped = [0] * limits.TEES_MOST

    def set(self, fds: Sequence[int]) -> None:
        """Replace the targets.

        Datagrams of allowed senders are copied as received, valid or not; a truncated one is copied without its last
        line. Lines of streams are packed into datagrams of at most `limits.COPY_BYTES`; a longer line has its own.

        Args:
            fds: connected datagram sockets, at most `limits.TEES_MOST`, which the caller keeps open until they are
                replaced; -1: empty place, -2: count every copy as dropped.

        Raises:
            ValueError: there are too many.
            OSError: one is not a socket; nothing has changed.
        """
        if len(fds) > limits.TEES_MOST:
            raise ValueError(f"at most {limits.TEES_MOST} targets")
        for fd in fds:
            if fd >= 0:
                _borrow(fd).detach()
        self._fds = tuple(fds)

    def send(self, batch: Batch) -> None:
        """Copy each datagram to every target."""
        if self._fds:
            self._send([_whole_lines(datagram) for datagram, _ in batch])

    def send_lines(self, batch: Batch) -> None:
        """Copy data of a stream to every target, as datagrams of whole lines."""
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
    """Yield datagrams of whole lines, each at most `limits.COPY_BYTES` long; a longer line is a datagram by itself."""
    start = 0
    while start < len(text):
        end = _end(text, start)
        if end > start:
            yield text[start:end]
        start = end + 1


def _end(text: bytes, start: int) -> int:
    """Return the end of the datagram that begins at `start`.

    The end is the last line feed within `limits.COPY_BYTES`, else the next one; before an empty line it is `start`.
    """
    if text.startswith(b"\n", start):
        return start
    if len(text) - start <= limits.COPY_BYTES:
        return len(text)
    end = text.rfind(b"\n", start, start + limits.COPY_BYTES + 1)
    if end < 0:
        end = text.find(b"\n", start + limits.COPY_BYTES)
    return end if end >= 0 else len(text)


def _whole_lines(datagram: bytes) -> bytes:
    """Return a datagram; if it was truncated, without its last line, as the hot path parses it."""
    return datagram if len(datagram) <= limits.DATAGRAM_BYTES else datagram.rpartition(b"\n")[0]


def _send_to(fd: int, datagrams: Sequence[bytes]) -> int:
    """Return the number of datagrams that the system accepted.

    An error may belong to an earlier datagram (ECONNREFUSED) and is reported once, so a failed send is tried a second
    time. A datagram that is too long is dropped alone. Any other error would repeat: the rest is dropped as well.
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
    """Wrap a descriptor of the caller; passing a family saves three system calls, and it need not be the real one."""
    return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, fd)


def _try(sock: socket.socket, datagram: bytes) -> int:
    """Send a datagram; return 0, or the errno of the failure."""
    try:
        sock.send(datagram, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
