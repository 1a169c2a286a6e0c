"""Which waiting batch goes next: the live window first, and a share for the backlog. Pure.

The live window is the newest window that may be sent; windows on hold may not. It goes first, since after an outage
current data is more useful than old data. While older windows wait, too, every third batch comes from the oldest one.
The oldest window reaches `max_age` first and is dropped first at the quota, so the backlog is sent oldest first. Each
window is sent in bounded time: the oldest one after three times its number of batches, then the next one.

Not known here: bodies, and where they are.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from relay.model import Batch

BACKLOG_EVERY: Final = 3
"""Every third batch comes from the backlog while both have batches; the documented minimum share is 30 %."""


class WaitingBatch(NamedTuple):
    """A waiting batch; sorts by window, then by id, which is the order of storing."""

    window: int
    id: int
    points: int
    compressed_bytes: int
    """Bytes of the compressed body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A batch reserved for one sender, until `Spool.done` or `Spool.put_back`."""

    batch: Batch
    entry: WaitingBatch
    live: bool
    """Whether the batch belonged to the live window."""
    compressed: bytes
    """The body as stored: zlib level 1."""
    generation: int
    """Number of the database that the batch came from; see `Writer.generation`."""


class BatchOrder:
    """State: the waiting batches by window, the windows on hold, the turn of the backlog, and the totals."""

    def __init__(self) -> None:
        self._heaps: dict[int, list[WaitingBatch]] = {}
        self._windows: list[int] = []
        """Ids of the waiting windows that may be sent, oldest first."""
        self._held: set[int] = set()
        """Ids of the windows that may not be sent yet."""
        self._turn = 0
        self.batches = 0
        self.points = 0
        self.bytes = 0

    def sendable_windows(self) -> Iterator[int]:
        """Iterate over the ids of waiting windows that may be sent, oldest first. Do not change the order meanwhile."""
        return iter(self._windows)

    def batches_of(self, window: int) -> Iterable[WaitingBatch]:
        """Return the waiting batches of a window, in heap order."""
        return self._heaps.get(window, ())

    @property
    def oldest_window(self) -> int | None:
        """Id of the oldest waiting window, on hold or not."""
        return min(self._heaps, default=None)

    @property
    def live_window(self) -> int | None:
        """Id of the live window; None if no window may be sent."""
        return self._windows[-1] if self._windows else None

    def hold(self, window: int) -> None:
        """Exclude a window from `pop` until it is released."""
        if window not in self._held:
            self._held.add(window)
            if window in self._heaps:
                del self._windows[bisect_left(self._windows, window)]

    def release(self, windows: Iterable[int]) -> None:
        """Allow windows to be sent again."""
        for window in self._held.intersection(windows):
            self._held.remove(window)
            if window in self._heaps:
                insort(self._windows, window)

    def push(self, entry: WaitingBatch) -> None:
        """Add a batch."""
        heap = self._heaps.get(entry.window)
        if heap is None:
            heap = self._heaps[entry.window] = []
            if entry.window not in self._held:
                insort(self._windows, entry.window)
        heappush(heap, entry)
        self._count(entry, 1)

    def pop(self, *, live: bool = False, in_memory: Callable[[int], bool] | None = None) -> WaitingBatch | None:
        """Remove and return the next batch; None if no batch may be sent.

        Args:
            live: from the live window even if it is the turn of the backlog.
            in_memory: returns whether the body of a batch (by id) is in memory. Pass it while the disk must not be
                read: then only such batches are returned, newest window first.
        """
        if in_memory is None:
            window = self._next_window(live=live)
        else:
            windows = reversed(self._windows[-1:] if live else self._windows)
            window = next((w for w in windows if in_memory(self._heaps[w][0].id)), None)
        return None if window is None else self._pop_from(window)

    def remove_window(self, window: int) -> list[WaitingBatch]:
        """Remove and return every waiting batch of a window."""
        entries = self._heaps.get(window, [])
        if entries:
            self._remove_heap(window)
        for entry in entries:
            self._count(entry, -1)
        return entries

    def remove_if(self, predicate: Callable[[WaitingBatch], bool]) -> list[WaitingBatch]:
        """Remove and return the waiting batches for which the predicate is true."""
        removed: list[WaitingBatch] = []
        for window in sorted(self._heaps):
            heap = self._heaps[window]
            gone = [entry for entry in heap if predicate(entry)]
            if gone:
                heap[:] = [entry for entry in heap if not predicate(entry)]
                heapify(heap)
                removed += gone
            if not heap:
                self._remove_heap(window)
        for entry in removed:
            self._count(entry, -1)
        return removed

    def _next_window(self, *, live: bool) -> int | None:
        if live or len(self._windows) < 2:
            return self.live_window
        self._turn = (self._turn + 1) % BACKLOG_EVERY
        return self._windows[0] if self._turn == 2 else self.live_window  # newest, oldest, newest

    def _pop_from(self, window: int) -> WaitingBatch:
        heap = self._heaps[window]
        entry = heappop(heap)
        if not heap:
            self._remove_heap(window)
        self._count(entry, -1)
        return entry

    def _remove_heap(self, window: int) -> None:
        del self._heaps[window]
        if window not in self._held:
            del self._windows[bisect_left(self._windows, window)]

    def _count(self, entry: WaitingBatch, sign: int) -> None:
        self.batches += sign
        self.points += sign * entry.points
        self.bytes += sign * entry.compressed_bytes
