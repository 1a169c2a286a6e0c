"""A pcap file that is being written, whole at any moment.

Records are collected and written some at a time; if the disk takes only a part of that, it is cut off again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from relay.tools.traffic import pcap

if TYPE_CHECKING:
    from relay.tools.traffic.packet import Endpoint

_CHUNK: Final = 1 << 20


class Recording:
    """State: an open file, what was written to it, and what waits to be.

    Args:
        fd: of an empty file; stays the caller's to close.
        limit: bytes of the file.

    Raises:
        OSError: it cannot be written; so do `add` and `flush`. What they held is lost then.
    """

    def __init__(self, fd: int, *, limit: int) -> None:
        self._fd, self._limit = fd, limit
        self._waiting: list[bytes] = []
        self._written = 0
        self.size = 0
        """Bytes, with what waits."""
        self.datagrams = 0
        self.lines = 0
        self.first = self.last = 0
        """Times of datagrams, in nanoseconds since 1970."""
        self._keep(pcap.begin())
        self.flush()

    def __repr__(self) -> str:
        """Report what it holds."""
        return f"<Recording {self.datagrams} datagrams, {self.size} bytes>"

    def add(self, received: int, payload: bytes, source: Endpoint, target: Endpoint) -> bool:
        """Take a datagram and the time it was received, in nanoseconds since 1970; False: there is no room for it."""
        record = pcap.record(received, payload, source, target)
        if self.size + len(record) > self._limit:
            return False
        self._keep(record)
        self.datagrams += 1
        self.lines += pcap.count_lines(payload)
        self.first, self.last = self.first or received, received
        if self.size - self._written > _CHUNK:
            self.flush()
        return True

    def flush(self) -> None:
        """Write what waits."""
        chunk, start = memoryview(b"".join(self._waiting)), self._written
        self._waiting.clear()
        try:
            while chunk:
                taken = os.write(self._fd, chunk)
                chunk, self._written = chunk[taken:], self._written + taken
        except OSError:
            os.ftruncate(self._fd, start)
            raise

    def _keep(self, record: bytes) -> None:
        self._waiting.append(record)
        self.size += len(record)
