"""The bounds of the spool: whole oldest windows are dropped and counted at a bound; a forecast warns before.

There are two bounds: the quota on disk, where dropping makes room only for windows that are on disk, and `MEMORY_MAX`
for bodies that only memory holds while the disk fails. Leased batches are not dropped. Not known here: SQLite, and
when something is written.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from relay.context import Context
    from relay.delivery.spool.memory import PayloadCache
    from relay.delivery.spool.order import BatchOrder


# --- forecast: when the spool will be full ---------------------------------------------------------------------------

WARN_SHARE: Final = 0.8
_OBSERVATIONS: Final = 30


class FillForecast:
    """State: the last 30 observations of (seconds, bytes used), one per window. Pure."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._seen: deque[tuple[float, int]] = deque(maxlen=_OBSERVATIONS)

    def observe(self, now: float, used: int) -> float | None:
        """Record the bytes used; return the hours until the spool is full, if a warning is due.

        Args:
            now: monotonic seconds.
            used: bytes.

        Returns:
            None below 80 % and while the spool does not grow; 0 if it is full.
        """
        self._seen.append((now, used))
        began, before = self._seen[0]
        if used < WARN_SHARE * self._limit or used <= before or now <= began:
            return None
        return max(0.0, (self._limit - used) / (used - before) * (now - began) / 3600)


# --- dropping the oldest windows -------------------------------------------------------------------------------------

MEMORY_MAX: Final = 64 * 1024 * 1024
"""Bytes of compressed bodies that only memory holds: about a million points, or an hour of 15,000 series."""
_REMEMBERED: Final = 10_000
"""Dropped windows remembered: a batch returned later does not count its window twice."""


class SpoolQuota:
    """State: the ids of dropped windows, and the forecast."""

    def __init__(
        self,
        limit_bytes: int,
        *,
        context: Context,
        order: BatchOrder,
        bodies: PayloadCache,
        remove: Callable[[int], object],
    ) -> None:
        self._limit = limit_bytes
        self._order = order
        self._bodies = bodies
        self._remove = remove
        self._ledger, self._loss_log = context.ledger, context.loss_log
        self._filling = FillForecast(limit_bytes)
        self._dropped: set[int] = set()

    def make_room(self, missing: int, *, but: Collection[int]) -> bool:
        """Drop whole windows that are on disk, oldest first, but none in `but`, until `missing` bytes are free.

        Returns:
            Whether any bytes became free.
        """
        freed = 0
        for window in list(self._order.sendable_windows()):
            if freed >= missing:
                break
            entries = self._order.batches_of(window)
            on_disk = [entry.compressed_bytes for entry in entries if not self._bodies.is_pinned(entry.id)]
            if window not in but and on_disk:
                freed += sum(on_disk)
                self._drop(window)
        return freed > 0

    def bound_memory(self) -> None:
        """Drop oldest windows while more than MEMORY_MAX bytes are in memory only; never the live window."""
        while self._bodies.pinned_bytes > MEMORY_MAX:
            pinned, live_window = self._bodies.pinned_windows, self._order.live_window
            windows = [window for window in pinned if window != live_window and self._order.batches_of(window)]
            if not windows:
                return
            self._drop(min(windows))

    def watch(self, now: float, left: int) -> None:
        """Warn when the quota is nearly used up; `left` bytes are free below it."""
        hours = self._filling.observe(now, self._limit - left)
        if hours is not None:
            self._loss_log.warn("the spool is filling", code="RLY410", hours=round(hours, 1), limit_bytes=self._limit)

    def _drop(self, window: int) -> None:
        entries = self._order.remove_window(window)
        points = sum(entry.points for entry in entries)
        self._ledger.drop_points(window, points, reason="spool_full")
        for entry in entries:
            self._remove(entry.id)
        if window not in self._dropped:
            if len(self._dropped) >= _REMEMBERED:
                self._dropped.clear()
            self._dropped.add(window)
            self._ledger.windows_dropped += 1
        self._loss_log.warn(
            "the spool is full, oldest windows are dropped",
            code="RLY410",
            reason="spool_full",
            window=window,
            points=points,
        )
