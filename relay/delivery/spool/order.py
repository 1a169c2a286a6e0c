"""Which waiting batch goes next: the live window first, and a share for the backlog. Pure.

The live window is the newest one with waiting batches: after an outage, current data is more useful than old data.
While older windows wait, too, every third batch is taken from the oldest one. The oldest window is the first to reach
`max_age` and the first to be dropped at the quota, so any other order would lose points that this one delivers. No
window starves: the oldest one is sent after three times its number of batches, and then the next one is the oldest.

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

BACKLOG_TURN: Final = 3
"""One batch in three is the backlog's while both lanes wait (33 %; promised: 30 %)."""


class WaitingBatch(NamedTuple):
    """A waiting batch; sorts by window, then by id, which is the order of storing."""

    window: int
    id: int
    points: int
    size: int
    """Bytes of the compressed body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A batch reserved for one sender, until `Spool.done` or `Spool.put_back`."""

    batch: Batch
    entry: WaitingBatch
    live: bool
    """Whether the batch belonged to the newest waiting window."""
    packed: bytes
    """The body as stored: zlib level 1."""
    generation: int
    """Number of the database that it came from; see `Writer.generation`."""


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

    def windows(self) -> Iterator[int]:
        """Iterate over the ids of waiting windows that may be sent, oldest first; change nothing meanwhile."""
        return iter(self._windows)

    def waiting(self, window: int) -> Iterable[WaitingBatch]:
        """Return the waiting batches of a window, in heap order."""
        return self._heaps.get(window, ())

    @property
    def oldest(self) -> int | None:
        """Id of the oldest waiting window, on hold or not."""
        return min(self._heaps, default=None)

    @property
    def newest(self) -> int | None:
        """Id of the live window: the newest one that may be sent."""
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
            live: from the newest window even if it is the turn of the backlog.
            in_memory: whether the body of a batch (by id) is in memory; given while no sender may wait for the disk.
                Then the batch comes from the newest window with such a body at its head.
        """
        if in_memory is None:
            window = self._next_window(live=live)
        else:
            windows = reversed(self._windows[-1:] if live else self._windows)
            window = next((w for w in windows if in_memory(self._heaps[w][0].id)), None)
        return None if window is None else self._pop_from(window)

    def drop(self, window: int) -> list[WaitingBatch]:
        """Remove and return every waiting batch of a window."""
        entries = self._heaps.get(window, [])
        if entries:
            self._remove(window)
        for entry in entries:
            self._count(entry, -1)
        return entries

    def drop_if(self, is_lost: Callable[[WaitingBatch], bool]) -> list[WaitingBatch]:
        """Remove and return the waiting batches of all windows that are lost."""
        lost: list[WaitingBatch] = []
        for window in sorted(self._heaps):
            heap = self._heaps[window]
            gone = [entry for entry in heap if is_lost(entry)]
            if gone:
                heap[:] = [entry for entry in heap if not is_lost(entry)]
                heapify(heap)
                lost += gone
            if not heap:
                self._remove(window)
        for entry in lost:
            self._count(entry, -1)
        return lost

    def _next_window(self, *, live: bool) -> int | None:
        if live or len(self._windows) < 2:
            return self.newest
        self._turn = (self._turn + 1) % BACKLOG_TURN
        return self._windows[0] if self._turn == 2 else self.newest  # newest, oldest, newest

    def _pop_from(self, window: int) -> WaitingBatch:
        heap = self._heaps[window]
        entry = heappop(heap)
        if not heap:
            self._remove(window)
        self._count(entry, -1)
        return entry

    def _remove(self, window: int) -> None:
        del self._heaps[window]
        if window not in self._held:
            del self._windows[bisect_left(self._windows, window)]

    def _count(self, entry: WaitingBatch, sign: int) -> None:
        self.batches += sign
        self.points += sign * entry.points
        self.bytes += sign * entry.size
