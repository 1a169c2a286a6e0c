"""Compressed bodies in memory: the write queue of bodies that are not on disk yet, and a cache of recently stored ones.

Invariants: a row is pinned in memory from the moment it is handed over until it is on disk, done or dropped; jobs are
written in their order; a deletion is kept until it is made.

The cache lets a window be sent right after it was stored, without reading from the disk. When the cache is full, older
windows are evicted first, and of one window the last batches. No I/O.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


# --- write queue -----------------------------------------------------------------------------------------------------

_OVERHEAD: Final = 1.15
"""Bytes of pages per byte of rows."""
_ROW_BYTES: Final = 64
"""Bytes of a row besides its body."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """Batches that are written together, and the windows that the write commits."""

    rows: Sequence[StoredBatch]
    windows: Collection[int]
    samples: int = 0
    """Samples in the batches."""
    settled: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Done when the job is on disk, or the disk failed or stalled."""
    is_tried: bool = False
    """A write was tried, so the job may be on disk."""
    is_written: bool = False
    """The job is on disk."""

    def settle(self) -> None:
        """Resume the caller that waits for the job."""
        if not self.settled.done():
            self.settled.set_result(None)


class Write(NamedTuple):
    """A job at the moment it is written."""

    job: Job
    rows: Sequence[StoredBatch]
    state: Mapping[str, bytes]
    bytes: int
    """Estimate of the bytes of pages that the write needs."""


class WriteQueue:
    """State: jobs, deletions and state that are not on disk yet; the bodies in memory."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.bodies = PayloadCache()
        self.state: dict[str, bytes] = {}
        self.deletions: list[int] = []
        self._tried: set[int] = set()
        """Ids of batches in tried writes: they may be on disk even if SQLite reported an error."""

    def pin(self, rows: Sequence[StoredBatch], state: Mapping[str, bytes]) -> None:
        """Retain rows and state until they are on disk."""
        for row in rows:
            self.bodies.pin(row)
        self.state.update(state)

    def remove(self, id_: int) -> bool:
        """Remove a batch that is done or dropped, and queue its deletion; return whether that will free pages."""
        on_disk = not self.bodies.is_pinned(id_)
        self.bodies.drop(id_)
        if on_disk or id_ in self._tried:
            self.deletions.append(id_)
        return on_disk

    def next_write(self) -> Write:
        """Return the first job, without batches that are done or dropped meanwhile."""
        job, state = self.jobs[0], dict(self.state)
        rows = [row for row in job.rows if self.bodies.is_pinned(row.id)]
        size = sum(len(row.body) + _ROW_BYTES for row in rows) + sum(map(len, state.values()))
        return Write(job=job, rows=rows, state=state, bytes=int(size * _OVERHEAD))

    def mark_tried(self, write: Write) -> None:
        """Record that a write begins; a batch removed from now on must be deleted on disk, too."""
        write.job.is_tried = True
        self._tried.update(row.id for row in write.rows)

    def mark_written(self, write: Write) -> None:
        """Record that a write is on disk: its rows are unpinned, and its job is settled."""
        self.jobs.remove(write.job)
        for key, value in write.state.items():
            if self.state.get(key) is value:
                del self.state[key]
        self._tried.difference_update(row.id for row in write.rows)
        # The first batches are sent first, so they are cached last and evicted last.
        for row in reversed(write.rows):
            self.bodies.unpin(row.id)
        write.job.is_written = True
        write.job.settle()

    def drop_deletions(self, count: int) -> None:
        """Remove the first `count` deletions from the queue: they are on disk."""
        del self.deletions[:count]

    def start_over(self, windows: Collection[int]) -> None:
        """Queue all rows in memory for a new database, together with the ids of committed windows."""
        self.deletions.clear()
        self._tried.clear()
        self.jobs.appendleft(Job(rows=self.bodies.pin_cached(), windows=windows))

    def settle_all(self) -> None:
        """Resume all callers; jobs drop rows that are done meanwhile, as the disk may fail for days."""
        for job in self.jobs:
            job.rows = [row for row in job.rows if self.bodies.is_pinned(row.id)]
            job.settle()


# --- bodies in memory ------------------------------------------------------------------------------------------------

CACHE_BYTES: Final = 16 * 1024 * 1024
"""About 6,000 requests: the live window of 300,000 series."""


class StoredBatch(NamedTuple):
    """A batch as it is stored."""

    id: int
    window: int
    points: int
    body: bytes
    """zlib level 1."""


class PayloadCache:
    """State: pinned rows, cached rows in order of arrival, and the bytes of both."""

    def __init__(self) -> None:
        self._pinned: dict[int, StoredBatch] = {}
        self._cached: dict[int, StoredBatch] = {}
        self._cached_bytes = 0
        self.pinned_bytes = 0
        self.pinned_windows: Counter[int] = Counter()
        """Number of pinned rows by window."""

    def get(self, id_: int) -> StoredBatch | None:
        """Return a pinned or cached row; None if it is not in memory."""
        return self._pinned.get(id_) or self._cached.get(id_)

    def has(self, id_: int) -> bool:
        """Return whether a row is in memory."""
        return id_ in self._pinned or id_ in self._cached

    def is_pinned(self, id_: int) -> bool:
        """Return whether a row is in memory only."""
        return id_ in self._pinned

    def pin(self, row: StoredBatch) -> None:
        """Retain a row until it is unpinned or dropped."""
        self.drop(row.id)
        self._pinned[row.id] = row
        self.pinned_bytes += len(row.body)
        self.pinned_windows[row.window] += 1

    def unpin(self, id_: int) -> None:
        """Move a row to the cache: it is on disk."""
        row = self._pinned.get(id_)
        if row is not None:
            self.drop(id_)
            self.cache(row)

    def cache(self, row: StoredBatch) -> None:
        """Cache a row that is on disk; beyond the bound the oldest cached rows are evicted."""
        if self.has(row.id):
            return
        self._cached[row.id] = row
        self._cached_bytes += len(row.body)
        while self._cached_bytes > CACHE_BYTES:
            self._cached_bytes -= len(self._cached.pop(next(iter(self._cached))).body)

    def drop(self, id_: int) -> None:
        """Remove a row."""
        if (row := self._pinned.pop(id_, None)) is not None:
            self.pinned_bytes -= len(row.body)
            self.pinned_windows[row.window] -= 1
            if not self.pinned_windows[row.window]:
                del self.pinned_windows[row.window]
        elif (row := self._cached.pop(id_, None)) is not None:
            self._cached_bytes -= len(row.body)

    def pin_cached(self) -> list[StoredBatch]:
        """Pin all cached rows, because the database is gone; return them by id."""
        rows = sorted(self._cached.values())
        for row in rows:
            self.pin(row)
        return rows
