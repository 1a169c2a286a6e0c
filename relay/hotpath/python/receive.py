"""Reads the queue of a datagram socket without blocking; receive.c is the native counterpart."""

from __future__ import annotations

import socket

from relay import limits

Peername = tuple[str, int] | None


def receive(fd: int) -> list[tuple[bytes, Peername]]:
    """Read datagrams with their senders: at most `limits.DRAIN_DATAGRAMS`, fewer if they are long.

    A long datagram may hold thousands of new lines, so the bytes of one call are bounded by `limits.STREAM_CHUNK`. The
    buffer is one byte larger than the largest datagram, which reveals truncation. The caller keeps the descriptor.
    """
    batch: list[tuple[bytes, Peername]] = []
    size = 0
    # Passing a family saves three system calls; AF_INET6 has room for the addresses of both families.
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, fd)
    try:
        while len(batch) < limits.DRAIN_DATAGRAMS and size < limits.STREAM_CHUNK:
            batch.append(sock.recvfrom(limits.DATAGRAM_BYTES + 1, socket.MSG_DONTWAIT))
            size += len(batch[-1][0])
    except BlockingIOError:
        pass
    finally:
        sock.detach()
    if batch and not isinstance(batch[0][1], tuple):  # a Unix socket: the sender is a path, or None
        return [(datagram, None) for datagram, _ in batch]
    return batch
