"""What waits on a socket of datagrams, taken without waiting: receive.c does it for the kernel."""

from __future__ import annotations

import socket

from relay import limits

Peername = tuple[str, int] | None


def receive(fd: int) -> list[tuple[bytes, Peername]]:
    """Take the datagrams that wait, each with its sender: at most `limits.DRAIN_DATAGRAMS`, and of long ones fewer.

    A long one may hold thousands of new lines: what is read at a time has a bound, as it has of a stream. One byte more
    than a datagram can have is taken: a longer one was truncated. The descriptor is only borrowed.
    """
    batch: list[tuple[bytes, Peername]] = []
    size = 0
    # A given family spares three system calls; with this one there is room for either kind of address.
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, fd)
    try:
        while len(batch) < limits.DRAIN_DATAGRAMS and size < limits.STREAM_CHUNK:
            batch.append(sock.recvfrom(limits.DATAGRAM_BYTES + 1, socket.MSG_DONTWAIT))
            size += len(batch[-1][0])
    except BlockingIOError:
        pass
    finally:
        sock.detach()
    if batch and not isinstance(batch[0][1], tuple):  # a Unix socket: a path, or nothing
        return [(datagram, None) for datagram, _ in batch]
    return batch
