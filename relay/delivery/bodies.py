"""Compressed bodies in memory: those that are not on disk yet, and those that were stored last.

The first are pinned: nobody else has them. The second are a cache, so that what was just stored is sent without
waiting for the disk; when it is full, older windows go first, and of one window the last batches. No I/O.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

CACHE_BYTES: Final = 16 * 1024 * 1024
"""About 6,000 requests: the live window of 300,000 series."""


class Row(NamedTuple):
    """A batch as it is stored."""

    id: int
    window: int
    points: int
    body: bytes
    """zlib level 1."""


class Bodies:
    """State: pinned rows, cached rows in the order they came, and the bytes of both."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._most = cache_bytes
        self._pinned: dict[int, Row] = {}
        self._cached: dict[int, Row] = {}
        self._cached_bytes = 0
        self.pinned_bytes = 0
        self.pinned_windows: Counter[int] = Counter()
        """How many rows of each window are pinned."""

    def __repr__(self) -> str:
        """Report both."""
        return f"<Bodies {len(self._pinned)} not on disk, {len(self._cached)} cached>"

    def get(self, id_: int) -> Row | None:
        """Return a row, wherever it is."""
        return self._pinned.get(id_) or self._cached.get(id_)

    def has(self, id_: int) -> bool:
        """Say whether a row is in memory."""
        return id_ in self._pinned or id_ in self._cached

    def is_pinned(self, id_: int) -> bool:
        """Say whether a row is in memory only."""
        return id_ in self._pinned

    def pin(self, row: Row) -> None:
        """Keep a row until it is unpinned or dropped."""
        self.drop(row.id)
        self._pinned[row.id] = row
        self.pinned_bytes += len(row.body)
        self.pinned_windows[row.window] += 1

    def unpin(self, id_: int) -> None:
        """A row is on disk: cache it."""
        row = self._pinned.get(id_)
        if row is not None:
            self.drop(id_)
            self.cache(row)

    def cache(self, row: Row) -> None:
        """Keep a row that is on disk, as long as there is room."""
        if self.has(row.id):
            return
        self._cached[row.id] = row
        self._cached_bytes += len(row.body)
        while self._cached_bytes > self._most:
            self._cached_bytes -= len(self._cached.pop(next(iter(self._cached))).body)

    def drop(self, id_: int) -> None:
        """Forget a row."""
        if (row := self._pinned.pop(id_, None)) is not None:
            self.pinned_bytes -= len(row.body)
            self.pinned_windows[row.window] -= 1
            if not self.pinned_windows[row.window]:
                del self.pinned_windows[row.window]
        elif (row := self._cached.pop(id_, None)) is not None:
            self._cached_bytes -= len(row.body)

    def pin_cached(self) -> list[Row]:
        """The disk lost everything: pin what is cached, and return it in the order of storing."""
        rows = sorted(self._cached.values())
        for row in rows:
            self.pin(row)
        return rows
