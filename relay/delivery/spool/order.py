"""Which waiting batch goes next: the live window first, and a share for the backlog. Pure.

Live is the newest window that still has batches: after an outage the present is of more use than the past. When older
ones wait too, every third batch is one of the oldest window. Oldest first, because the oldest is the first to reach
`max_age` and the first to be dropped when the quota is reached: any other order would lose what this one still
delivers. Nothing starves: the oldest window ends after three times its batches, then the next one is the oldest.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BACKLOG_TURN: Final = 3
"""Every so manieth batch is the backlog's while both wait: 33 %; the promise is 30."""


class WaitingBatch(NamedTuple):
    """A batch that waits, ordered by window, then as it was stored."""

    window: int
    id: int
    points: int
    size: int
    """Bytes, compressed."""


class BatchOrder:
    """State: what waits, by window; whose turn it is; and the sums of what waits."""

    def __init__(self) -> None:
        self._heaps: dict[int, list[WaitingBatch]] = {}
        self._order: list[int] = []
        """Ids of the windows that wait and may be taken, oldest first."""
        self._held: set[int] = set()
        """Ids of those that may not be taken yet."""
        self._turn = 0
        self.batches = 0
        self.points = 0
        self.bytes = 0

    def __repr__(self) -> str:
        """Report what waits."""
        return f"<BatchOrder {self.batches} batches of {len(self._heaps)} windows>"

    def windows(self) -> Iterator[int]:
        """Ids of the windows that wait and may be taken, oldest first; do not change the lanes meanwhile."""
        return iter(self._order)

    def waiting(self, window: int) -> Iterable[WaitingBatch]:
        """Batches of a window that wait, in no order."""
        return self._heaps.get(window, ())

    @property
    def oldest(self) -> int | None:
        """Id of the oldest window that waits."""
        return min(self._heaps, default=None)

    @property
    def newest(self) -> int | None:
        """Id of the live window: the newest one that may be taken."""
        return self._order[-1] if self._order else None

    @property
    def holds(self) -> bool:
        """Whether a window waits that may not be taken yet."""
        return any(window in self._heaps for window in self._held)

    def hold(self, window: int) -> None:
        """Let nothing of a window be taken until it is released."""
        if window not in self._held:
            self._held.add(window)
            if window in self._heaps:
                del self._order[bisect_left(self._order, window)]

    def release(self, windows: Iterable[int]) -> None:
        """Let windows be taken again."""
        for window in self._held.intersection(windows):
            self._held.remove(window)
            if window in self._heaps:
                insort(self._order, window)

    def push(self, entry: WaitingBatch) -> None:
        """Let a batch wait."""
        heap = self._heaps.get(entry.window)
        if heap is None:
            heap = self._heaps[entry.window] = []
            if entry.window not in self._held:
                insort(self._order, entry.window)
        heappush(heap, entry)
        self._count(entry, 1)

    def take(self, *, live: bool = False, at_hand: Callable[[int], bool] | None = None) -> WaitingBatch | None:
        """Take the next batch, or None.

        Args:
            live: only of the newest window, whoever's turn it is.
            at_hand: says whether the body of a batch (by id) is in memory; given while the disk must not be waited
                for. Then the newest window with such a batch at its head is taken from.
        """
        if at_hand is None:
            window = self._next_window(live=live)
        else:
            windows = reversed(self._order[-1:] if live else self._order)
            window = next((w for w in windows if at_hand(self._heaps[w][0].id)), None)
        return None if window is None else self._pop(window)

    def drop(self, window: int) -> list[WaitingBatch]:
        """Take every waiting batch of a window at once."""
        entries = self._heaps.get(window, [])
        if entries:
            self._remove(window)
        for entry in entries:
            self._count(entry, -1)
        return entries

    def drop_if(self, is_lost: Callable[[WaitingBatch], bool]) -> list[WaitingBatch]:
        """Take every batch, of whatever window, that is lost."""
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
        if live or len(self._order) < 2:
            return self.newest
        self._turn = (self._turn + 1) % BACKLOG_TURN
        return self._order[0] if self._turn == 2 else self.newest  # newest, oldest, newest: the fresh one begins

    def _pop(self, window: int) -> WaitingBatch:
        heap = self._heaps[window]
        entry = heappop(heap)
        if not heap:
            self._remove(window)
        self._count(entry, -1)
        return entry

    def _remove(self, window: int) -> None:
        del self._heaps[window]
        if window not in self._held:
            del self._order[bisect_left(self._order, window)]

    def _count(self, entry: WaitingBatch, sign: int) -> None:
        self.batches += sign
        self.points += sign * entry.points
        self.bytes += sign * entry.size
