"""Writes a pcap file that is valid at any moment.

Records are buffered and written in blocks. If the disk accepts only a part of a block, the file is truncated to the end
of the block before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from relay.tools.traffic import pcap

if TYPE_CHECKING:
    from relay.tools.traffic.packet import Endpoint

_CHUNK: Final = 1 << 20


class Recording:
    """State: an open file, the bytes written to it, and the records that wait to be written.

    Args:
        fd: descriptor of an empty file; the caller closes it.
        limit: largest size of the file in bytes.

    Raises:
        OSError: the file cannot be written. `add` and `flush` raise it too; the waiting records are then lost.
    """

    def __init__(self, fd: int, *, limit: int) -> None:
        self._fd, self._limit = fd, limit
        self._waiting: list[bytes] = []
        self._written = 0
        self.size = 0
        """Bytes of the file, with those that wait to be written."""
        self.datagrams = 0
        self.lines = 0
        self.first = self.last = 0
        """Times of the first and the last datagram, in nanoseconds since 1970."""
        self._append(pcap.begin())
        self.flush()

    def add(self, received: int, payload: bytes, source: Endpoint, target: Endpoint) -> bool:
        """Add a datagram received at `received` (nanoseconds since 1970); return False if the file has no room."""
        record = pcap.record(received, payload, source, target)
        if self.size + len(record) > self._limit:
            return False
        self._append(record)
        self.datagrams += 1
        self.lines += pcap.count_lines(payload)
        self.first, self.last = self.first or received, received
        if self.size - self._written > _CHUNK:
            self.flush()
        return True

    def flush(self) -> None:
        """Write the waiting records."""
        chunk, start = memoryview(b"".join(self._waiting)), self._written
        self._waiting.clear()
        try:
            while chunk:
                written = os.write(self._fd, chunk)
                chunk, self._written = chunk[written:], self._written + written
        except OSError:
            os.ftruncate(self._fd, start)
            raise

    def _append(self, record: bytes) -> None:
        self._waiting.append(record)
        self.size += len(record)
